"""Options that several commands take, so that each is spelled, explained and defaulted in one place."""

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

_HOST: Final = r"[A-Za-z0-9][A-Za-z0-9.-]*|[0-9a-f:.]+"  # a name, or an address of IPv6


def endpoint(text: str | None) -> str | None:
    """Of `--endpoint-url`. Raises BadParameter for what is no URL of a server."""
    if text and not _is_endpoint(text):
        raise typer.BadParameter(f"{text!r} is no URL such as http://127.0.0.1:4566")
    return text or None


def _is_endpoint(text: str) -> bool:
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:  # of brackets that do not close, or a port that is no number
        return False
    return url.scheme in {"http", "https"} and port != 0 and re.fullmatch(_HOST, host) is not None


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
