"""`sesmailengine templates …`: list, diff, push, pull, rollback and test-send, against a bucket."""

from collections.abc import Callable, Coroutine, Sized
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import aioboto3
import typer
from msgspec import Struct
from rich.console import Console

from engine.authoring.bucket import BucketTemplate, TemplateBucket, bucket_errors
from engine.authoring.build import build
from engine.authoring.files import (
    NAME_RULE,
    SAMPLE_FILE,
    BadFileError,
    TemplateToolError,
    is_template_name,
    read_object,
)
from engine.authoring.folder import Folder, NoTemplateError, find_folder, find_folders
from engine.authoring.lint import lint
from engine.cli.operate.command import Call, YesOption, stack_command, table
from engine.cli.options import DirectoryOption
from engine.cli.template_diff import Difference, differences, files_of, show_differences
from engine.cli.templates import HERE, failures, say, show_findings, templates
from engine.client import EmailClient, EmailRequest
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict, amount

# The commands of both files are one group; imported from here it has them all.
__all__ = ["templates"]

_T = TypeVar("_T")

BucketOption = Annotated[
    str | None, typer.Option("--bucket", envvar="TEMPLATE_BUCKET", help="The bucket; that of the stack else.")
]
Names = Annotated[list[str] | None, typer.Argument(help="The templates; all of them otherwise.")]
Name = Annotated[str, typer.Argument(help="The template.")]


class BucketTemplates(Struct, frozen=True, kw_only=True, rename="camel"):
    templates: list[BucketTemplate]


class DifferingFile(Struct, frozen=True, kw_only=True, rename="camel"):
    """`kind`: what a push would make of it, `new` or `changed`; `gone`: only the bucket has it."""

    template: str
    file: str
    kind: str


class Differences(Struct, frozen=True, kw_only=True, rename="camel"):
    differences: list[DifferingFile]


@stack_command(templates, "list")
def list_all(call: Call, bucket: BucketOption = None) -> None:
    """The templates of the bucket."""
    found = _in_bucket(call, bucket, lambda store: store.list_templates())
    listing = table("template", "files", "changed")
    for template in found:
        listing.add_row(template.name, str(len(template.files)), f"{template.changed:%Y-%m-%d %H:%M:%S}")
    sentence = f"{amount(len(found), 'template')}." if found else "The bucket has no template."
    verdict = Verdict(good=bool(found), sentence=sentence)
    call.show(BucketTemplates(templates=found), verdict, lambda console: console.print(listing))


@stack_command(templates)
def diff(
    call: Call, bucket: BucketOption = None, names: Names = None, directory: DirectoryOption = HERE
) -> None:
    """What a push would change, line by line; exit 1 where there is something."""
    try:
        folders = _folders(directory, names)
    except TemplateToolError as error:
        call.fail(str(error))

    async def compare(store: TemplateBucket) -> list[tuple[str, list[Difference]]]:
        return [(each.name, differences(await store.fetch(each.name), files_of(each))) for each in folders]

    found = _in_bucket(call, bucket, compare)
    files = [
        DifferingFile(template=name, file=change.file, kind=change.kind)
        for name, changes in found
        for change in changes
    ]
    sentence = f"{_amount(files)} differ." if files else "The bucket has what is here."

    def draw(_: Console) -> None:
        for name, changes in found:
            show_differences(changes, "bucket", name)

    call.show(Differences(differences=files), Verdict(good=not files, sentence=sentence), draw)


@stack_command(templates, json=False)
def push(
    call: Call,
    bucket: BucketOption = None,
    names: Names = None,
    directory: DirectoryOption = HERE,
    *,
    yes: YesOption = False,
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
        remote, local = _fetch(call, bucket, folder.name), files_of(folder)
        changes = show_differences(differences(remote, local), "bucket", folder.name)
        pushed = {change.file: local[change.file] for change in changes if change.after is not None}
        for change in changes:
            if change.after is None:
                say(f"{folder.name}: {change.file} is not here; it stays in the bucket")
        if not pushed:
            say(f"{folder.name}: nothing to push")
        elif yes or typer.confirm(f"Push {folder.name}?"):
            _in_bucket(call, bucket, partial(TemplateBucket.push, name=folder.name, files=pushed))
            say(f"{folder.name}: pushed {_amount(pushed)}; the functions load it within five minutes")


@stack_command(templates, json=False)
def pull(
    call: Call,
    bucket: BucketOption = None,
    names: Names = None,
    directory: DirectoryOption = HERE,
    *,
    yes: YesOption = False,
) -> None:
    """Copy templates of the bucket to this machine; asks before it overwrites a file that differs."""
    if not names:
        found = _in_bucket(call, bucket, lambda store: store.list_templates())
        names = [template.name for template in found]
    for name in names:
        if not is_template_name(name):
            call.fail(f"{name!r} can't name a template; expected {NAME_RULE}")
        remote = _fetch(call, bucket, name)
        if not remote:
            call.fail(f"The bucket has no template {name}")
        folder = Folder(directory / name)
        with failures():
            changes = [one for one in differences(files_of(folder), remote) if one.after is not None]
        overwritten = show_differences([one for one in changes if one.before is not None], name, "bucket")
        if overwritten and not yes and not typer.confirm(f"Overwrite {_amount(overwritten)} of {name}?"):
            continue
        folder.path.mkdir(parents=True, exist_ok=True)
        for change in changes:
            (folder.path / change.file).write_text(change.after or "", encoding="utf-8", newline="\n")
        say(f"{name}: wrote {_amount(changes)}" if changes else f"{name}: the same already")


@stack_command(templates, json=False)
def rollback(call: Call, name: Name, bucket: BucketOption = None) -> None:
    """Take back the newest change of a template in the bucket; a second rollback restores it."""
    for restored in _in_bucket(call, bucket, lambda store: store.roll_back(name)):
        state = f"as of {restored.to:%Y-%m-%d %H:%M:%S}" if restored.to else "gone, as before"
        say(f"{name}: {restored.file} is {state}")


@stack_command(templates, "test-send", json=False)
def send_test(
    call: Call,
    name: Name,
    *,
    to: Annotated[str, typer.Option(help="Who gets it.")],
    bus: Annotated[
        str | None,
        typer.Option("--bus", envvar="EVENT_BUS_NAME", help="The engine's bus; that of the stack else."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A JSON file with the data; sample.json otherwise.")
    ] = None,
    directory: DirectoryOption = HERE,
) -> None:
    """Send one email of a template that is in the bucket, as an application would."""
    source = data or directory / name / SAMPLE_FILE
    with failures():
        given = read_object(source)
        if given is None:
            raise BadFileError(source, "is missing")
    request = EmailRequest(to=to, template_name=name, template_data=given)
    address = call.address

    async def send(stack: DeployedStack) -> tuple[str, str]:
        session = aioboto3.Session(profile_name=address.profile, region_name=address.region)
        own, endpoint = bus or stack.event_bus, address.endpoint_url
        async with EmailClient(
            own, source="sesmailengine.templates", session=session, endpoint_url=endpoint
        ) as emails:
            return own, await emails.send(request)

    own, email_id = call.run(send)
    say(f"Requested {name} to {to}: email {email_id}. Its status events on {own} report its outcome.")


def _amount(files: Sized) -> str:
    return amount(len(files), "file")


def _folders(directory: Path, names: list[str] | None) -> list[Folder]:
    return [find_folder(directory, name) for name in names] if names else find_folders(directory)


def _fetch(call: Call, bucket: str | None, name: str) -> dict[str, str]:
    return _in_bucket(call, bucket, lambda store: store.fetch(name))


def _in_bucket(
    call: Call, bucket: str | None, act: Callable[[TemplateBucket], Coroutine[Any, Any, _T]]
) -> _T:
    """Do something in the bucket; a failure ends the command with its reason."""

    async def work(stack: DeployedStack) -> _T:
        name = bucket or await stack.template_bucket()
        with bucket_errors(name):
            return await act(TemplateBucket(await stack.client("s3"), name))

    return call.run(work)
