"""The stack's parameters: given, asked for, kept from the installed stack, or the template's default."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from installer.problem import Problem
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
class Parameters:
    """`given` is what this run says, `previous` what the installed stack has."""

    specifications: Mapping[str, Mapping[str, Any]]
    given: Mapping[str, str]
    previous: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        """The value that the stack will have; empty when the template has no such parameter."""
        default = self.specifications.get(name, {}).get("Default", "")
        return self.given.get(name, self.previous.get(name, str(default)))

    def number(self, value: int | str) -> int:
        """A number, or that of the parameter by this name."""
        return value if isinstance(value, int) else int(self[value])

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
) -> Parameters:
    """Check `given`, and ask for what neither it nor the installed stack says."""
    choices = {name: found for name, found in release.parameters.items() if not _is_code(name, release)}
    problems = [problem for name, value in given.items() for problem in check(name, value, choices)]
    if not problems:
        asked = {
            name: _ask(name, choices, screen)
            for name, found in choices.items()
            if name not in given and name not in previous and _is_asked(name, found, screen)
        }
        parameters = Parameters(release.parameters, {**given, **asked}, previous)
        problems = list(_check_together(parameters))
        if not problems:
            return parameters
    raise Problem(
        "The parameters can't be used:\n" + "\n".join(f"          {problem}" for problem in problems),
        "Correct them; `python install.py --show-parameters` lists all there are.",
    )


def check(name: str, value: str, specifications: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What CloudFormation would refuse of `value`."""
    if name not in specifications:
        yield f"{name}: this release has no such parameter"
    elif not _fits(value, specifications[name]):
        found = specifications[name]
        expected = found.get("ConstraintDescription") or found.get("Description", "not of the expected form")
        yield f"{name}: {expected}, got {value!r}"


def _fits(value: str, found: Mapping[str, Any]) -> bool:
    if found.get("Type") == "Number":
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            return False
        if not float(found.get("MinValue", value)) <= float(value) <= float(found.get("MaxValue", value)):
            return False
    if "AllowedValues" in found and value not in map(str, found["AllowedValues"]):
        return False
    return re.fullmatch(found.get("AllowedPattern", ".*"), value, re.DOTALL) is not None and int(
        found.get("MinLength", 0)
    ) <= len(value) <= int(found.get("MaxLength", len(value)))


def _check_together(parameters: Parameters) -> Iterator[str]:
    """A queue that may use more environments than the function reserves is throttled, and mail waits."""
    sender, *queues = (f"{name}Concurrency" for name in ("Sender", "Bulk", "Retry"))
    if {sender, *queues} <= parameters.specifications.keys():
        reserved, needed = int(parameters[sender]), sum(int(parameters[name]) for name in queues)
        if 0 < reserved <= needed:
            yield f"{sender}: more than {' + '.join(queues)} ({needed}), or 0 for none, got {reserved}"


def listing(release: Release) -> Iterator[str]:
    """One line for each parameter that a person may choose."""
    for name, found in sorted(release.parameters.items()):
        if not _is_code(name, release):
            flag = FLAGS[name][0] + ", " if name in FLAGS else ""
            default = f"default {found['Default']!r}" if "Default" in found else "required"
            yield f"{name} ({flag}{default}): {found.get('Description', '')}"


def _is_asked(name: str, found: Mapping[str, Any], screen: Screen) -> bool:
    """Those without a default in any case; the address for alarms where there is somebody to ask."""
    return "Default" not in found or (name == ADMIN and screen.answers is not None)


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
            screen.bad(problem)


def _is_code(name: str, release: Release) -> bool:
    return name == "CodeBucket" or name in release.code
