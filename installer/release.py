"""What this package brings along."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installer.errors import InstallError

# The template's parameter for each zip's key in the code bucket.
_ZIPS = {
    "EmailSenderCodeKey": "email-sender",
    "FeedbackProcessorCodeKey": "feedback-processor",
    "TemplateSeederCodeKey": "template-seeder",
}


@dataclass(frozen=True)
class Artifact:
    """A file for the code bucket. Its key tells its content, so what is there need not be sent again."""

    path: Path
    key: str


@dataclass(frozen=True)
class Release:
    """The unpacked package.

    `parameters` are as the template has them. `reserved` are the names of those that reserve a function's
    concurrency, each with the one that switches the function on, or with none. `retained_template` is the
    part of the template that outlives the stack. `regions` are those that this release is checked for,
    `regions_without` those that lack what a parameter switches on.
    """

    version: str
    parameters: Mapping[str, Mapping[str, Any]]
    reserved: Mapping[str, str]
    retained_template: Mapping[str, Any]
    regions: Sequence[str]
    regions_without: Mapping[str, Sequence[str]]
    template: Artifact
    code: Mapping[str, Artifact]
    first_email_data: Mapping[str, Any]


def read_release(folder: Path) -> Release:
    """Read the unpacked package in `folder`."""
    try:
        facts = json.loads((folder / "installer" / "release.json").read_text(encoding="utf-8"))
        sample = folder / "starter-templates" / "welcome" / "sample.json"
        return Release(
            version=facts["version"],
            parameters=facts["parameters"],
            reserved=facts["reservedConcurrency"],
            retained_template=facts["retainedTemplate"],
            regions=facts["regions"],
            regions_without=facts["regionsWithout"],
            template=_artifact(folder / "template.yaml", "template"),
            code={
                name: _artifact(folder / "lambda" / f"{zipped}.zip", "lambda")
                for name, zipped in _ZIPS.items()
            },
            first_email_data=json.loads(sample.read_text(encoding="utf-8")),
        )
    except FileNotFoundError as error:
        raise InstallError(
            f"The package is not whole: {error.filename} is missing.",
            "Unpack the zip anew, and run the install.py in that folder.",
        ) from error


def _artifact(path: Path, prefix: str) -> Artifact:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Artifact(path, f"{prefix}/{digest[:32]}{path.suffix}")
