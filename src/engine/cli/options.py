"""Options that several commands take, so that each is spelled, explained and defaulted in one place."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer


def endpoint(text: str | None) -> str | None:
    """Of `--endpoint-url`. Raises BadParameter for what is no URL of a server."""
    if text and not (text.startswith(("http://", "https://")) and urlsplit(text).hostname):
        raise typer.BadParameter(f"{text!r} is no URL such as http://127.0.0.1:4566")
    return text or None


EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url",
        envvar="AWS_ENDPOINT_URL",
        callback=endpoint,
        help="Another AWS, such as that of `make local`.",
    ),
]
RegionOption = Annotated[
    str | None, typer.Option("--region", envvar="AWS_REGION", help="AWS region, where no profile gives it.")
]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="AWS profile.")]
DirectoryOption = Annotated[
    Path, typer.Option("--dir", envvar="TEMPLATES_DIR", help="The folder with one folder for each template.")
]
