"""Options that several commands take, so that each is spelled, explained and defaulted in one place."""

from pathlib import Path
from typing import Annotated

import typer

EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url", envvar="AWS_ENDPOINT_URL", help="Another AWS, such as that of `make local`."
    ),
]
RegionOption = Annotated[
    str | None, typer.Option("--region", envvar="AWS_REGION", help="AWS region, where no profile gives it.")
]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="AWS profile.")]
DirectoryOption = Annotated[
    Path, typer.Option("--dir", envvar="TEMPLATES_DIR", help="The folder with one folder for each template.")
]
