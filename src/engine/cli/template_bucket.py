"""`sesmailengine templates …`: list, diff, push, pull, rollback and test-send, against a bucket."""

import asyncio
import difflib
from collections.abc import Callable, Coroutine, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Table
from rich.text import Text

from engine.authoring.bucket import BucketError, TemplateBucket, open_bucket
from engine.authoring.build import build
from engine.authoring.files import NAME_RULE, SAMPLE_FILE, SHARED, BadFileError, is_template_name, read_object
from engine.authoring.folder import Folder, NoTemplateError, find_folder, find_folders
from engine.authoring.lint import lint
from engine.cli.options import BusOption, DirectoryOption, EndpointOption, RegionOption
from engine.cli.templates import HERE, console, failures, say, show_findings, templates
from engine.client import EmailClient, EmailRequest, NotAcceptedError

# The commands of both files are one group; imported from here it has them all.
__all__ = ["templates"]

_T = TypeVar("_T")

BucketOption = Annotated[
    str,
    typer.Option(
        "--bucket", envvar="TEMPLATE_BUCKET", help="The template bucket, {StackName}-templates-{AccountId}."
    ),
]
Names = Annotated[list[str] | None, typer.Argument(help="The templates; all of them otherwise.")]
Name = Annotated[str, typer.Argument(help="The template.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


@dataclass(frozen=True)
class Difference:
    """A file that is not the same in two places; None where it is missing."""

    file: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> str:
        return "new" if self.before is None else "gone" if self.after is None else "changed"

    def lines(self, before: str, after: str) -> list[str]:
        """A unified diff."""
        old, new = (self.before or "").splitlines(), (self.after or "").splitlines()
        return list(
            difflib.unified_diff(old, new, f"{before}/{self.file}", f"{after}/{self.file}", lineterm="")
        )


@templates.command("list")
def list_all(bucket: BucketOption, endpoint: EndpointOption = None, region: RegionOption = None) -> None:
    """The templates of the bucket."""
    table = Table("template", "files", "changed")
    for template in _in_bucket(bucket, endpoint, region, lambda store: store.list_templates()):
        table.add_row(template.name, str(len(template.files)), f"{template.changed:%Y-%m-%d %H:%M:%S}")
    console.print(table)


@templates.command("diff")
def diff(
    bucket: BucketOption,
    names: Names = None,
    directory: DirectoryOption = HERE,
    endpoint: EndpointOption = None,
    region: RegionOption = None,
) -> None:
    """What a push would change, line by line; exit 1 where there is something."""
    with failures():
        folders = _folders(directory, names)
    differing = False
    for folder in folders:
        remote = _fetch(bucket, endpoint, region, folder.name)
        differing |= bool(show_differences(differences(remote, files_of(folder)), "bucket", folder.name))
    raise typer.Exit(1 if differing else 0)


@templates.command("push")
def push(
    bucket: BucketOption,
    names: Names = None,
    directory: DirectoryOption = HERE,
    endpoint: EndpointOption = None,
    region: RegionOption = None,
    *,
    yes: Yes = False,
) -> None:
    """Build and check templates, show what will change, and write it to the bucket."""
    with failures():
        folders = _folders(directory, names)
        errors = 0
        for folder in folders:
            build(folder.path).write(folder.path)
            findings = lint(folder)
            show_findings(folder, findings)
            errors += sum(finding.level == "error" for finding in findings)
        if errors:
            raise NoTemplateError(f"Nothing is pushed while there are errors: {errors} of them.")
    for folder in folders:
        remote, local = _fetch(bucket, endpoint, region, folder.name), files_of(folder)
        changes = show_differences(differences(remote, local), "bucket", folder.name)
        pushed = {change.file: local[change.file] for change in changes if change.after is not None}
        for change in changes:
            if change.after is None:
                say(f"{folder.name}: {change.file} is not here; it stays in the bucket")
        if not pushed:
            say(f"{folder.name}: nothing to push")
        elif yes or typer.confirm(f"Push {folder.name}?"):
            _in_bucket(bucket, endpoint, region, partial(TemplateBucket.push, name=folder.name, files=pushed))
            say(f"{folder.name}: pushed {_counted(pushed)}; the functions load it within five minutes")


@templates.command("pull")
def pull(
    bucket: BucketOption,
    names: Names = None,
    directory: DirectoryOption = HERE,
    endpoint: EndpointOption = None,
    region: RegionOption = None,
    *,
    yes: Yes = False,
) -> None:
    """Copy templates of the bucket to this machine; asks before it overwrites a file that differs."""
    if not names:
        found = _in_bucket(bucket, endpoint, region, lambda store: store.list_templates())
        names = [template.name for template in found]
    for name in names:
        if not is_template_name(name):
            _fail(f"{name!r} can't name a template; expected {NAME_RULE}")
        remote = _fetch(bucket, endpoint, region, name)
        if not remote:
            _fail(f"s3://{bucket} has no template {name}")
        folder = Folder(directory / name)
        with failures():
            changes = [one for one in differences(files_of(folder), remote) if one.after is not None]
        overwritten = show_differences([one for one in changes if one.before is not None], name, "bucket")
        if overwritten and not yes and not typer.confirm(f"Overwrite {_counted(overwritten)} of {name}?"):
            continue
        folder.path.mkdir(parents=True, exist_ok=True)
        for change in changes:
            (folder.path / change.file).write_text(change.after or "", encoding="utf-8", newline="\n")
        say(f"{name}: wrote {_counted(changes)}" if changes else f"{name}: the same already")


@templates.command("rollback")
def rollback(
    name: Name, bucket: BucketOption, endpoint: EndpointOption = None, region: RegionOption = None
) -> None:
    """Take back the newest change of a template in the bucket; a second rollback restores it."""
    for restored in _in_bucket(bucket, endpoint, region, lambda store: store.roll_back(name)):
        state = f"as of {restored.to:%Y-%m-%d %H:%M:%S}" if restored.to else "gone, as before"
        say(f"{name}: {restored.file} is {state}")


@templates.command("test-send")
def send_test(
    name: Name,
    *,
    to: Annotated[str, typer.Option(help="Who gets it.")],
    bus: BusOption,
    data: Annotated[
        Path | None, typer.Option(help="A JSON file with the data; sample.json otherwise.")
    ] = None,
    directory: DirectoryOption = HERE,
    endpoint: EndpointOption = None,
    region: RegionOption = None,
) -> None:
    """Send one email of a template that is in the bucket, as an application would."""
    source = data or directory / name / SAMPLE_FILE
    with failures():
        given = read_object(source)
        if given is None:
            raise BadFileError(source, "is missing")
    request = EmailRequest(to=to, template_name=name, template_data=given)

    async def send() -> str:
        options = _options(endpoint, region)
        async with EmailClient(bus, source="sesmailengine.templates", **options) as emails:
            return await emails.send(request)

    email_id = _run(send())
    say(f"Requested {name} to {to}: email {email_id}. Its status events on {bus} report its outcome.")


def files_of(folder: Folder) -> dict[str, str]:
    """The files of a folder that go to the bucket."""
    return {file: content for file in SHARED if (content := folder.read(file)) is not None}


def differences(before: dict[str, str], after: dict[str, str]) -> list[Difference]:
    """The files that are not the same, in a fixed order."""
    files = [file for file in SHARED if before.get(file) != after.get(file)]
    return [Difference(file, before.get(file), after.get(file)) for file in files]


def show_differences(changes: list[Difference], before: str, after: str) -> list[Difference]:
    """Print them line by line; returns them."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for change in changes:
        console.print(Text(f"{change.file}: {change.kind}", style="bold"))
        if change.kind == "changed":
            for line in change.lines(before, after):
                console.print(Text(line, style=styles.get(line[:1], "")), soft_wrap=True)
    return changes


def _counted(files: Sized) -> str:
    return "1 file" if len(files) == 1 else f"{len(files)} files"


def _folders(directory: Path, names: list[str] | None) -> list[Folder]:
    return [find_folder(directory, name) for name in names] if names else find_folders(directory)


def _fetch(bucket: str, endpoint: str | None, region: str | None, name: str) -> dict[str, str]:
    return _in_bucket(bucket, endpoint, region, lambda store: store.fetch(name))


def _in_bucket(
    bucket: str,
    endpoint: str | None,
    region: str | None,
    act: Callable[[TemplateBucket], Coroutine[Any, Any, _T]],
) -> _T:
    """Do something in the bucket; a failure ends the command with its reason."""

    async def opened() -> _T:
        async with open_bucket(bucket, **_options(endpoint, region)) as store:
            return await act(store)

    return _run(opened())


def _options(endpoint: str | None, region: str | None) -> dict[str, Any]:
    given = {"endpoint_url": endpoint, "region_name": region}
    return {name: value for name, value in given.items() if value}


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(work)
    except (BucketError, NotAcceptedError, ClientError, BotoCoreError) as error:
        _fail(str(error), error)


def _fail(text: str, cause: Exception | None = None) -> NoReturn:
    console.print(Text(text, style="bold red"), soft_wrap=True)
    raise typer.Exit(1) from cause
