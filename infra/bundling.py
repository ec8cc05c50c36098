"""The Lambda zips, made without Docker: the engine and what it imports, for the machine that runs it.

A zip is a pure function of what goes in: entries in order, one fixed time stamp, no machine paths.
Dependencies are installed once for each version of requirements/lambda.txt and kept in build/; a change of
the engine only adds the engine's own files to a copy.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import uv

from infra.pruning import CALLED, prune
from infra.settings import Target

ROOT = Path(__file__).resolve().parent.parent
_REQUIREMENTS = ROOT / "requirements" / "lambda.txt"
_ENGINE = ROOT / "src" / "engine"
_STARTER_TEMPLATES = ROOT / "starter_templates"
_BUILD = ROOT / "build" / "lambda"

# Lambda's python3.13 runs on Amazon Linux 2023 (glibc 2.34), which takes every manylinux2014 wheel.
_LAMBDA_WHEELS = (
    "--python-platform",
    "aarch64-manylinux2014",
    "--python-version",
    "3.13",
    "--only-binary",
    ":all:",
)

# Of the engine, what no function imports.
_NOT_IN_LAMBDA = ("authoring", "cli", "client", "local", "operations")

# The template seeder is deployed alone: it needs these, the SDK of the runtime, and nothing else.
_SEEDER_MODULES = ("__init__.py", "handlers/__init__.py", "handlers/template_seeder.py")

TIME_STAMP = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_KEPT = 3
_SCHEME = "3"  # raise it when this file or `pruning` makes another zip out of the same input


@dataclass(frozen=True, kw_only=True)
class Bundles:
    """What is deployed: the two zips, and a value that changes when a starter template does."""

    engine: Path
    seeder: Path
    templates_digest: str

    @classmethod
    def build(cls, target: Target) -> Self:
        return cls(
            engine=engine_zip(target), seeder=seeder_zip(), templates_digest=starter_templates_digest()
        )


def engine_zip(target: Target = "lambda", *, build: Path = _BUILD) -> Path:
    """The zip of EmailSender and FeedbackProcessor."""
    dependencies = _dependencies_zip(target, build)
    files = sorted(_engine_files())
    path = build / f"engine-{target}-{_digest(_SCHEME, dependencies.name, *_contents(files))}.zip"
    if not path.exists():
        with _replacing(path) as partial:
            shutil.copyfile(dependencies, partial)
            _add(partial, files)
        _drop_older(path, f"engine-{target}-*.zip")
    return path


def seeder_zip(*, build: Path = _BUILD) -> Path:
    """The zip of TemplateSeeder: its handler and the starter templates."""
    templates = [(f"starter_templates/{name}", path) for name, path in _starter_templates()]
    if not templates:
        raise RuntimeError(
            f"There is no starter template in {_STARTER_TEMPLATES}: nothing for the seeder to do"
        )
    files = sorted([*((f"engine/{name}", _ENGINE / name) for name in _SEEDER_MODULES), *templates])
    path = build / f"seeder-{_digest(_SCHEME, *_contents(files))}.zip"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(path) as partial:
            _add(partial, files)
        _drop_older(path, "seeder-*.zip")
    return path


def starter_templates_digest() -> str:
    """Changes when a starter template does; a stack update with another one runs the seeder again."""
    return _digest(*_contents(_starter_templates()))


def _starter_templates() -> list[tuple[str, Path]]:
    files = (path for path in _STARTER_TEMPLATES.rglob("*") if path.is_file())
    return sorted((path.relative_to(_STARTER_TEMPLATES).as_posix(), path) for path in files)


def _dependencies_zip(target: Target, build: Path) -> Path:
    """Everything of requirements/lambda.txt, pruned; made once for each version of that file."""
    wheels = _LAMBDA_WHEELS if target == "lambda" else ("--python", sys.executable)
    runs_on = "" if target == "lambda" else f"{sys.implementation.cache_tag}-{platform.machine()}"
    key = _digest(_SCHEME, _REQUIREMENTS.read_bytes(), repr(CALLED), runs_on)
    path = build / f"dependencies-{target}-{key}.zip"
    if path.exists():
        return path
    build.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as scratch:
        installed = Path(scratch)
        _install(installed, wheels)
        prune(installed)
        if target == "local":
            # A worker of the emulator unpacks the zip into a folder of its own, so what is compiled there
            # serves nobody else. On Lambda the snapshot is taken after the imports, and the build's Python is
            # another one.
            _compile(installed)
        files = sorted(
            (file.relative_to(installed).as_posix(), file) for file in installed.rglob("*") if file.is_file()
        )
        with _replacing(path) as partial:
            _add(partial, files)
    _drop_older(path, f"dependencies-{target}-*.zip")
    return path


def _install(into: Path, wheels: tuple[str, ...]) -> None:
    command = [
        uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--link-mode", "copy",
        "--target", str(into), *wheels, "-r", str(_REQUIREMENTS),
    ]  # fmt: skip
    outcome = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 -- uv from this venv, fixed arguments
    if outcome.returncode:
        raise RuntimeError(f"Installing the Lambda functions' dependencies failed:\n{outcome.stderr.strip()}")


def _compile(installed: Path) -> None:
    subprocess.run(  # noqa: S603 -- this interpreter, fixed arguments
        [sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash",
         "-s", str(installed), str(installed)],
        check=True,
    )  # fmt: skip


def _engine_files() -> Iterator[tuple[str, Path]]:
    for path in _ENGINE.rglob("*"):
        inside = path.relative_to(_ENGINE)
        if path.suffix == ".py" and inside.parts[0] not in _NOT_IN_LAMBDA:
            yield f"engine/{inside.as_posix()}", path


def _contents(files: list[tuple[str, Path]]) -> Iterator[str | bytes]:
    for name, path in files:
        yield name
        yield path.read_bytes()


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def _add(archive: Path, files: list[tuple[str, Path]]) -> None:
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED, compresslevel=6) as zipped:
        for name, path in files:
            entry = zipfile.ZipInfo(name, TIME_STAMP)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, also when built on Windows
            entry.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(entry, path.read_bytes())


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Write beside `path` and move there at the end, so that no half-written zip is taken for a whole one."""
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        partial = Path(scratch) / path.name
        yield partial
        partial.replace(path)


def _drop_older(newest: Path, pattern: str) -> None:
    """Keep a few: another build of another state of the tree may be reading its own just now."""
    by_age = sorted(newest.parent.glob(pattern), key=lambda path: path.stat().st_mtime)
    for old in by_age[:-_KEPT]:
        old.unlink(missing_ok=True)
