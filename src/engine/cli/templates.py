"""`sesmailengine templates …`: new, build, lint and preview, for templates on disk."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text
from watchfiles import awatch

from engine.authoring.build import build, starter_files, starters
from engine.authoring.files import TemplateToolError
from engine.authoring.findings import LintFinding
from engine.authoring.folder import Folder, NoTemplateError, find_folder, find_folders
from engine.authoring.lint import lint
from engine.authoring.preview import Preview, application
from engine.authoring.scaffold import create
from engine.cli.options import DirectoryOption
from engine.local.web.server import serve_locally

PREVIEW_PORT = 8026

templates = typer.Typer(
    help="Write templates, check and preview them, and push them to the bucket.", no_args_is_help=True
)
console = Console()

HERE = Path("templates")

Where = Annotated[Path | None, typer.Argument(help="The templates, or one of them; --dir otherwise.")]

_STYLE = {"error": "bold red", "warning": "yellow", "note": "dim"}


@templates.command("new")
def new(
    name: Annotated[str, typer.Argument(help="The template's name, as requests will say it.")],
    like: Annotated[str | None, typer.Option(help="A starter template to begin with.")] = None,
    directory: DirectoryOption = HERE,
) -> None:
    """Make a template from the layout, ready to preview."""
    with failures():
        folder = create(directory, name, like=like)
    say(f"{folder} is there: write source.html and source.txt.")
    say(f"`sesmailengine templates preview {name} --dir {directory}` shows it while you do.")


@templates.command("build")
def build_all(
    where: Where = None,
    *,
    directory: DirectoryOption = HERE,
    starter: Annotated[
        bool, typer.Option("--starters", help="Write the starter templates there instead.")
    ] = False,
) -> None:
    """Build template.html and template.txt from their sources."""
    folder = where or directory
    with failures():
        if starter:
            changed = {
                source.name: starter_files(source).write(folder / source.name) for source in starters()
            }
        else:
            changed = {one.name: build(one.path).write(one.path) for one in find_folders(folder)}
    for name, files in changed.items():
        say(f"{name}: {', '.join(files) or 'up to date'}")


@templates.command("lint")
def lint_all(
    where: Where = None,
    *,
    directory: DirectoryOption = HERE,
    strict: Annotated[bool, typer.Option(help="Let warnings fail too.")] = False,
    notes: Annotated[bool, typer.Option(help="Show also what some client lacks without harm.")] = False,
) -> None:
    """Check templates; exit 1 where something is wrong, with file and line."""
    with failures():
        found = [(folder, lint(folder)) for folder in find_folders(where or directory)]
    for folder, findings in found:
        show_findings(folder, findings, notes=notes)
    count = Counter(finding.level for _, findings in found for finding in findings)
    say(
        f"{len(found)} {'template' if len(found) == 1 else 'templates'}: {count['error']} errors,"
        f" {count['warning']} warnings, {count['note']} notes"
    )
    raise typer.Exit(1 if count["error"] or (strict and count["warning"]) else 0)


@templates.command("preview")
def preview(
    name: Annotated[str, typer.Argument(help="The template to begin with.")],
    data: Annotated[
        Path | None, typer.Option(help="A JSON file with the data; sample.json otherwise.")
    ] = None,
    directory: DirectoryOption = HERE,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where to serve on 127.0.0.1; 0 takes a free one.")
    ] = PREVIEW_PORT,
) -> None:
    """Show a template in the browser, on two screens, and again whenever a file changes."""
    with failures():
        find_folder(directory, name)
        try:
            asyncio.run(_serve(Preview(directory, data), name, port))
        except KeyboardInterrupt:
            say("Stopped.")
        except OSError as error:
            raise NoTemplateError(
                f"Cannot serve on port {port}: {error}; choose another by --port"
            ) from error


async def _serve(preview: Preview, name: str, port: int) -> None:
    async with serve_locally(application(preview, awatch), port) as url:
        say(f"{name} is at {url}/{name}; Ctrl-C stops it.")
        await asyncio.Event().wait()


@contextmanager
def failures() -> Iterator[None]:
    """Turn what a person can correct into one line and exit code 1."""
    try:
        yield
    except TemplateToolError as error:
        console.print(Text(str(error), style="bold red"), soft_wrap=True)
        raise typer.Exit(1) from error


def show_findings(folder: Folder, findings: list[LintFinding], *, notes: bool = False) -> None:
    """One line for each finding, in the form that editors parse."""
    for finding in findings:
        if finding.level == "note" and not notes:
            continue
        line = Text(f"{folder.path / finding.file}:{finding.line}: ")
        line.append(finding.level, _STYLE[finding.level]).append(f" {finding.code}: {finding.message}")
        line.append(f" ({finding.url})" if finding.url else "", "dim")
        console.print(line, soft_wrap=True)


def say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
