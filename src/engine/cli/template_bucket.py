"""`sesmailengine templates …`: what an author does with the templates of a bucket."""

import asyncio
import difflib
import json
from collections.abc import Coroutine, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Table
from rich.text import Text

from engine.authoring.bucket import BucketError, Listed, Restored, open_bucket
from engine.authoring.build import SAMPLE_FILE, build
from engine.authoring.folder import SHARED, Folder, NoTemplateError, find_folder, find_folders
from engine.authoring.lint import lint
from engine.cli.templates import HERE, Directory, console, failures, say, show_findings, templates
from engine.client import EmailClient, EmailRequest, NotAcceptedError

# The commands of both files are one group; whoever takes it from here has them all.
__all__ = ["templates"]

_T = TypeVar("_T")

Bucket = Annotated[
    str,
    typer.Option(envvar="TEMPLATE_BUCKET", help="The template bucket, {StackName}-templates-{AccountId}."),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url", envvar="AWS_ENDPOINT_URL", help="Another AWS, such as that of `make local`."
    ),
]
Region = Annotated[
    str | None, typer.Option(envvar="AWS_REGION", help="The region, where no profile says it.")
]
Names = Annotated[list[str] | None, typer.Argument(help="The templates; all of them otherwise.")]
Name = Annotated[str, typer.Argument(help="The template.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


@dataclass(frozen=True)
class Difference:
    """What a file of a template is in two places; None where it is not."""

    file: str
    before: str | None
    after: str | None

    @property
    def word(self) -> str:
        return "new" if self.before is None else "gone" if self.after is None else "changed"

    def lines(self, before: str, after: str) -> list[str]:
        old, new = (self.before or "").splitlines(), (self.after or "").splitlines()
        return list(
            difflib.unified_diff(old, new, f"{before}/{self.file}", f"{after}/{self.file}", lineterm="")
        )


@templates.command("list")
def list_all(bucket: Bucket, endpoint: Endpoint = None, region: Region = None) -> None:
    """The templates of the bucket."""
    table = Table("template", "files", "changed")
    for listed in _call(_listed(bucket, endpoint, region)):
        table.add_row(listed.name, str(len(listed.files)), f"{listed.changed:%Y-%m-%d %H:%M:%S}")
    console.print(table)


@templates.command("diff")
def diff(
    bucket: Bucket,
    names: Names = None,
    directory: Directory = HERE,
    endpoint: Endpoint = None,
    region: Region = None,
) -> None:
    """What a push would change, line by line; exit 1 where there is something."""
    with failures():
        folders = _folders(directory, names)
    differing = False
    for folder in folders:
        remote = _call(_fetched(bucket, folder.name, endpoint, region))
        differing |= bool(show_differences(differences(remote, files_of(folder)), "bucket", folder.name))
    raise typer.Exit(1 if differing else 0)


@templates.command("push")
def push(
    bucket: Bucket,
    names: Names = None,
    directory: Directory = HERE,
    endpoint: Endpoint = None,
    region: Region = None,
    *,
    yes: Yes = False,
) -> None:
    """Build, check, show what will change, and bring templates to the bucket."""
    with failures():
        folders = _folders(directory, names)
        for folder in folders:
            build(folder.path).write(folder.path)
        _refuse_errors(folders)
    for folder in folders:
        remote, local = _call(_fetched(bucket, folder.name, endpoint, region)), files_of(folder)
        changes = show_differences(differences(remote, local), "bucket", folder.name)
        pushed = {change.file: local[change.file] for change in changes if change.after is not None}
        for change in changes:
            if change.after is None:
                say(f"{folder.name}: {change.file} is not here; it stays in the bucket")
        if not pushed:
            say(f"{folder.name}: nothing to push")
        elif yes or typer.confirm(f"Push {folder.name}?"):
            _call(_pushed(bucket, folder.name, pushed, endpoint, region))
            say(f"{folder.name}: pushed {_counted(pushed)}; the functions take it up within five minutes")


@templates.command("pull")
def pull(
    bucket: Bucket,
    names: Names = None,
    directory: Directory = HERE,
    endpoint: Endpoint = None,
    region: Region = None,
    *,
    yes: Yes = False,
) -> None:
    """Bring templates of the bucket here, and ask before a file that differs is written over."""
    for name in names or [listed.name for listed in _call(_listed(bucket, endpoint, region))]:
        remote = _call(_fetched(bucket, name, endpoint, region))
        if not remote:
            _fail(f"s3://{bucket} has no template {name}")
        folder = Folder(directory / name)
        changes = [one for one in differences(files_of(folder), remote) if one.after is not None]
        overwritten = show_differences([one for one in changes if one.before is not None], name, "bucket")
        if overwritten and not yes and not typer.confirm(f"Write over {_counted(overwritten)} of {name}?"):
            continue
        folder.path.mkdir(parents=True, exist_ok=True)
        for change in changes:
            (folder.path / change.file).write_text(change.after or "", encoding="utf-8", newline="\n")
        say(f"{name}: wrote {_counted(changes)}" if changes else f"{name}: the same already")


@templates.command("rollback")
def rollback(name: Name, bucket: Bucket, endpoint: Endpoint = None, region: Region = None) -> None:
    """Take back the newest change of a template in the bucket; once more brings it again."""
    for restored in _call(_rolled_back(bucket, name, endpoint, region)):
        was = f"as of {restored.to:%Y-%m-%d %H:%M:%S}" if restored.to else "gone, as before"
        say(f"{name}: {restored.file} is {was}")


@templates.command("test-send")
def send_test(
    name: Name,
    *,
    to: Annotated[str, typer.Option(help="Who gets it.")],
    bus: Annotated[str, typer.Option(envvar="EVENT_BUS_NAME", help="The bus, {StackName}-EmailBus.")],
    data: Annotated[
        Path | None, typer.Option(help="A JSON file with the data; sample.json otherwise.")
    ] = None,
    directory: Directory = HERE,
    endpoint: Endpoint = None,
    region: Region = None,
) -> None:
    """Send one email of a template that is in the bucket, as an application would."""
    source = data or directory / name / SAMPLE_FILE
    try:
        read = json.loads(source.read_text(encoding="utf-8"))
        request = EmailRequest(to=to, template_name=name, template_data=read)
    except (OSError, ValueError) as error:
        _fail(f"{source}: {error}")
    email_id = _call(_sent(bus, request, endpoint, region))
    say(f"Asked for {name} to {to}: email {email_id}. Its status events on {bus} say what becomes of it.")


def files_of(folder: Folder) -> dict[str, str]:
    """The files of a folder that go to the bucket."""
    return {file: content for file in SHARED if (content := folder.read(file)) is not None}


def differences(before: dict[str, str], after: dict[str, str]) -> list[Difference]:
    """The files that are not the same, in the order in which they are told."""
    files = [file for file in SHARED if before.get(file) != after.get(file)]
    return [Difference(file, before.get(file), after.get(file)) for file in files]


def show_differences(changes: list[Difference], before: str, after: str) -> list[Difference]:
    """Tells them line by line, and hands them on."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for change in changes:
        console.print(Text(f"{change.file}: {change.word}", style="bold"))
        if change.word == "changed":
            for line in change.lines(before, after):
                console.print(Text(line, style=styles.get(line[:1], "")), soft_wrap=True)
    return changes


def _counted(files: Sized) -> str:
    return "1 file" if len(files) == 1 else f"{len(files)} files"


def _folders(directory: Path, names: list[str] | None) -> list[Folder]:
    return [find_folder(directory, name) for name in names] if names else find_folders(directory)


def _refuse_errors(folders: list[Folder]) -> None:
    bad = 0
    for folder in folders:
        findings = lint(folder)
        show_findings(folder, findings)
        bad += sum(finding.level == "error" for finding in findings)
    if bad:
        raise NoTemplateError(f"Nothing is pushed while there are errors: {bad} of them.")


def _options(endpoint: str | None, region: str | None) -> dict[str, Any]:
    told = {"endpoint_url": endpoint, "region_name": region}
    return {name: value for name, value in told.items() if value}


async def _listed(bucket: str, endpoint: str | None, region: str | None) -> list[Listed]:
    async with open_bucket(bucket, **_options(endpoint, region)) as store:
        return await store.listed()


async def _fetched(bucket: str, name: str, endpoint: str | None, region: str | None) -> dict[str, str]:
    async with open_bucket(bucket, **_options(endpoint, region)) as store:
        return await store.fetch(name)


async def _pushed(
    bucket: str, name: str, files: dict[str, str], endpoint: str | None, region: str | None
) -> None:
    async with open_bucket(bucket, **_options(endpoint, region)) as store:
        await store.push(name, files)


async def _rolled_back(bucket: str, name: str, endpoint: str | None, region: str | None) -> list[Restored]:
    async with open_bucket(bucket, **_options(endpoint, region)) as store:
        return await store.roll_back(name)


async def _sent(bus: str, request: EmailRequest, endpoint: str | None, region: str | None) -> str:
    async with EmailClient(bus, source="sesmailengine.templates", **_options(endpoint, region)) as emails:
        return await emails.send(request)


def _call(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(work)
    except (BucketError, NotAcceptedError, ClientError, BotoCoreError) as error:
        _fail(str(error), error)


def _fail(text: str, cause: Exception | None = None) -> NoReturn:
    console.print(Text(text, style="bold red"), soft_wrap=True)
    raise typer.Exit(1) from cause
