"""The stack's parameters: given, asked for, kept from the installed stack, or the template's default."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from installer.errors import InstallError
from installer.release import Release
from installer.screen import Screen

SENDER = "DefaultSenderEmail"
SENDER_NAME = "DefaultSenderName"
ADMIN = "AdminEmail"

# Parameters with a flag of their own, and how one is asked for; all others are given by --parameter.
FLAGS = {
    SENDER: ("--sender", "Address that emails come from"),
    SENDER_NAME: ("--sender-name", "Name beside that address"),
    ADMIN: ("--admin-email", "Address that alarms go to (empty: nobody)"),
}


@dataclass(frozen=True)
class StackParameters:
    """`given` is what this run says, `previous` what the installed stack has."""

    specifications: Mapping[str, Mapping[str, Any]]
    given: Mapping[str, str]
    previous: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        """The value that the stack will have; empty when the template has no such parameter."""
        default = self.specifications.get(name, {}).get("Default", "")
        return self.given.get(name, self.previous.get(name, str(default)))

    def request(self, code: Mapping[str, str]) -> list[dict[str, Any]]:
        """For CreateChangeSet: what is given, and the stack's own values for the rest."""
        given = {**self.given, **code}
        kept = [name for name in self.specifications if name in self.previous and name not in given]
        return [
            *({"ParameterKey": name, "ParameterValue": value} for name, value in sorted(given.items())),
            *({"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)),
        ]


def choose(
    release: Release, given: Mapping[str, str], previous: Mapping[str, str], screen: Screen
) -> StackParameters:
    """Check what is given and what the installed stack has, and ask for what neither says."""
    choices = {name: spec for name, spec in release.parameters.items() if not _is_code(name, release)}
    problems = [problem for name, value in given.items() for problem in check(name, value, choices)]
    for name, value in previous.items():
        if name in choices and name not in given:
            problems += [
                f"{problem}, which the installed stack has; give another with --parameter {name}=..."
                for problem in check(name, value, choices)
            ]
    if not problems:
        asked = {}
        for name, spec in choices.items():
            # Those without a default in any case; the address for alarms where there is somebody to ask.
            needed = "Default" not in spec or (name == ADMIN and screen.answers is not None)
            if needed and name not in given and name not in previous:
                asked[name] = _ask(name, choices, screen)
        parameters = StackParameters(release.parameters, {**given, **asked}, previous)
        # A queue that may use more environments than the function reserves is throttled, and mail waits.
        sender, *queues = (f"{name}Concurrency" for name in ("Sender", "Bulk", "Retry"))
        reserved, queued = int(parameters[sender]), sum(int(parameters[name]) for name in queues)
        if not 0 < reserved <= queued:
            return parameters
        problems = [f"{sender}: more than {' + '.join(queues)} ({queued}), or 0 for none, got {reserved}"]
    raise InstallError(
        "The parameters can't be used:\n" + "\n".join(f"          {problem}" for problem in problems),
        "Correct them; `python install.py --show-parameters` lists all there are.",
    )


def check(name: str, value: str, specifications: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What CloudFormation would refuse of `value`."""
    if name not in specifications:
        yield f"{name}: this release has no such parameter"
        return
    spec = specifications[name]
    fits = "AllowedValues" not in spec or value in map(str, spec["AllowedValues"])
    if spec.get("Type") == "Number":
        is_number = re.fullmatch(r"-?\d+(\.\d+)?", value) is not None
        fits = fits and is_number
        least, most = float(spec.get("MinValue", "-inf")), float(spec.get("MaxValue", "inf"))
        fits = fits and least <= float(value) <= most
    else:
        fits = fits and re.fullmatch(spec.get("AllowedPattern", ".*"), value, re.DOTALL) is not None
        fits = fits and int(spec.get("MinLength", 0)) <= len(value) <= int(spec.get("MaxLength", len(value)))
    if not fits:
        expected = spec.get("ConstraintDescription") or spec.get("Description", "not of the expected form")
        yield f"{name}: {expected}, got {value!r}"


def listing(release: Release) -> Iterator[str]:
    """One line for each parameter that a person may choose."""
    for name, spec in sorted(release.parameters.items()):
        if not _is_code(name, release):
            flag = FLAGS[name][0] + ", " if name in FLAGS else ""
            default = f"default {spec['Default']!r}" if "Default" in spec else "required"
            yield f"{name} ({flag}{default}): {spec.get('Description', '')}"


def _ask(name: str, specifications: Mapping[str, Mapping[str, Any]], screen: Screen) -> str:
    flag, question = FLAGS.get(
        name, (f"--parameter {name}=...", specifications[name].get("Description", name))
    )
    while True:
        answer = screen.ask(question, flag)
        problems = list(check(name, answer, specifications))
        if not problems:
            return answer
        for problem in problems:
            screen.stop(problem)


def _is_code(name: str, release: Release) -> bool:
    return name == "CodeBucket" or name in release.code
