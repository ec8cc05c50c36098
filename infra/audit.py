"""Known vulnerabilities in the pinned dependencies: `python -m infra.audit`, a part of `make lint`.

pip-audit asks OSV (https://osv.dev) about every pin, first about those that are deployed. A known
vulnerability fails; where OSV can't be reached nothing is known, and that is said instead.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

REQUIREMENTS: Final = Path(__file__).resolve().parents[1] / "requirements"
FILES: Final = ("lambda.txt", "dev.txt", "emulator.txt")
# Advisories that can't be mended yet, by id, each with why it does no harm here.
ACCEPTED: Final[dict[str, str]] = {}

_LONGEST: Final = 160  # characters of a complaint

Audit = Callable[[Path], tuple[str, str]]
"""What pip-audit writes about a file of pins: its report, and its complaints."""


def pip_audit(file: Path) -> tuple[str, str]:
    options = ("--vulnerability-service=osv", "--format=json", "--progress-spinner=off", "--timeout=10")
    accepted = (f"--ignore-vuln={advisory}" for advisory in ACCEPTED)
    # Pins with hashes are complete: nothing is resolved or downloaded.
    pins = ("--disable-pip", "--require-hashes", f"--requirement={file}")
    command = (sys.executable, "-m", "pip_audit", *options, *accepted, *pins)
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    return done.stdout, done.stderr


def vulnerabilities(report: str) -> Iterator[str]:
    """A line for each. Raises ValueError for what is no report of pip-audit."""
    for pin in json.loads(report)["dependencies"]:
        for found in pin.get("vulns", ()):
            fixed = ", ".join(found["fix_versions"]) or "none yet"
            yield f"{pin['name']} {pin['version']} has {found['id']}; fixed in: {fixed}"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main(audit: Audit = pip_audit) -> int:
    """1 where any pin has a known vulnerability, else 0."""
    known: list[str] = []
    for name in FILES:
        report, complaints = audit(REQUIREMENTS / name)
        try:
            known += [f"requirements/{name}: {line}" for line in vulnerabilities(report)]
        except ValueError:
            why = (complaints.strip().splitlines() or ["pip-audit wrote no report"])[-1]
            say(f"pip-audit: SKIPPED from requirements/{name} on, for OSV gave no answer ({why[:_LONGEST]})")
            break
    if known:
        advice = (
            "Renew the pins with `make requirements`, or accept an advisory in infra/audit.py, with a reason"
        )
        say("\n".join((*known, advice)))
    return bool(known)


if __name__ == "__main__":
    sys.exit(main())
