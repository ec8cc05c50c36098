"""What is measured: the zip that a checkout deploys, unpacked, beside Lambda's runtime client alone."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
# The checkout's own code builds its zip; nothing is written into the checkout.
_BUILD: Final = (
    "import sys, pathlib; from infra.bundling import engine_zip;"
    " print(engine_zip('local', build=pathlib.Path(sys.argv[1])))"
)
# On Lambda these lie beside Python itself.
_RUNTIME_CLIENT: Final = ("awslambdaric", "simplejson", "snapshot-restore-py")


class BundleError(Exception):
    """A checkout's zip can't be built; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class MeasuredHandler:
    """A handler, the folders that it is imported from, and what its environment has besides the others'."""

    name: str
    handler: str
    path: tuple[Path, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


def peer(name: str, handler: str) -> MeasuredHandler:
    """A handler of `benchmarks.peers`, with the libraries of this Python environment."""
    libraries = Path(sysconfig.get_path("purelib"))
    return MeasuredHandler(name=name, handler=f"benchmarks.peers.{handler}", path=(ROOT, libraries))


def unpack_bundle(checkout: Path, into: Path) -> Path:
    """Build a checkout's zip for this machine and this Python, and unpack it.

    Raises BundleError saying why it can't be built.
    """
    if not (checkout / "infra" / "bundling.py").is_file():
        raise BundleError(f"{checkout} is no checkout of this project: it has no infra/bundling.py")
    built = subprocess.run(  # noqa: S603 - this interpreter, fixed arguments
        [sys.executable, "-c", _BUILD, str(ROOT / "build" / "lambda")],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": f"{checkout}/src", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise BundleError(f"The zip of {checkout} can't be built:\n{built.stderr.strip()}")
    with zipfile.ZipFile(built.stdout.strip()) as bundle:
        bundle.extractall(into)
    return into


def link_runtime_client(into: Path) -> Path:
    """A folder with Lambda's runtime client and nothing else of this Python environment."""
    into.mkdir()
    for name in _RUNTIME_CLIENT:
        installed = distribution(name)
        for top in {file.parts[0] for file in installed.files or ()}:
            (into / top).symlink_to(str(installed.locate_file(top)))
    return into
