"""The CloudFormation stack: change sets, and following what CloudFormation does."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from installer.cloud import Cloud
from installer.problem import Problem, doing
from installer.screen import Screen

_SECONDS_BETWEEN_LOOKS = 2.0
_NOTHING_CHANGED = ("didn't contain changes", "No updates are to be performed")
# What CloudFormation says of resources that stopped because another one failed.
_CONSEQUENCES = ("Resource creation cancelled", "Resource update cancelled")

# A part of a reason, and what to do about it.
_ADVICE = {
    "UnreservedConcurrentExecution": (
        "Ask for a higher Lambda quota `Concurrent executions` (docs/install.md), and run again."
    ),
    "already exists": (
        "Something by this name is there, and not of an earlier installation. Remove it, or choose another "
        "--stack-name."
    ),
    "not authorized": "Use credentials with the permissions that docs/install.md lists.",
    "AccessDenied": "Use credentials with the permissions that docs/install.md lists.",
}


@dataclass(frozen=True)
class Found:
    """The stack as it is."""

    stack_id: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    protected: bool

    @property
    def is_there(self) -> bool:
        """False for what a change set that was never carried out leaves behind."""
        return self.status != "REVIEW_IN_PROGRESS"


@dataclass(frozen=True)
class Change:
    action: str
    logical_id: str
    kind: str
    replaces: bool

    def __str__(self) -> str:
        return f"{self.action:8}{short(self.kind)} {self.logical_id}{' (REPLACED)' if self.replaces else ''}"


@dataclass(frozen=True)
class ChangeSet:
    arn: str
    stack_id: str
    changes: Sequence[Change]


@dataclass(frozen=True)
class Stack:
    cloud: Cloud
    name: str

    def find(self, stack_id: str | None = None) -> Found | None:
        """The stack by its name, or by the identifier that finds it when it is deleted as well."""
        try:
            with doing(f"looking at the stack {self.name}"):
                (stack,) = self._cloud_formation.describe_stacks(StackName=stack_id or self.name)["Stacks"]
        except Problem as problem:
            error = problem.__cause__
            if isinstance(error, ClientError) and "does not exist" in str(error):
                return None
            raise
        if stack_id is None and stack["StackStatus"] == "DELETE_COMPLETE":
            return None
        return Found(
            stack_id=stack["StackId"],
            status=stack["StackStatus"],
            parameters={
                found["ParameterKey"]: found.get("ParameterValue", "")
                for found in stack.get("Parameters", ())
            },
            outputs={found["OutputKey"]: found["OutputValue"] for found in stack.get("Outputs", ())},
            protected=stack.get("EnableTerminationProtection", False),
        )

    def prepare(self, kind: str, **request: Any) -> ChangeSet | None:
        """A change set of `kind` CREATE, UPDATE or IMPORT, to be executed; None when nothing changes."""
        with doing(f"describing the changes to the stack {self.name}"):
            answer = self._cloud_formation.create_change_set(
                StackName=self.name,
                ChangeSetName=f"installer-{time.time_ns()}",
                ChangeSetType=kind,
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
                **request,
            )
            arn = answer["Id"]
            described = self._described(arn)
        if described["Status"] == "CREATE_COMPLETE":
            return ChangeSet(arn, answer["StackId"], list(self._changes(arn)))
        reason = described.get("StatusReason", "")
        self.discard(arn)
        if any(text in reason for text in _NOTHING_CHANGED):
            return None
        raise Problem(f"CloudFormation can't make these changes: {reason}", _advice(reason))

    def discard(self, change_set: str) -> None:
        with doing("deleting a change set"):
            self._cloud_formation.delete_change_set(ChangeSetName=change_set)

    def execute(self, change_set: ChangeSet, goal: str, screen: Screen) -> Found:
        """Carry it out and show how it goes; raises `Problem` unless the stack ends in the status `goal`."""
        before = self._event_ids(change_set.stack_id)
        with doing(f"changing the stack {self.name}"):
            self._cloud_formation.execute_change_set(ChangeSetName=change_set.arn)
        return self._follow(change_set.stack_id, goal, before, len(change_set.changes), screen)

    def delete(self, stack_id: str, screen: Screen) -> None:
        before = self._event_ids(stack_id)
        with doing(f"deleting the stack {self.name}"):
            pages = self._cloud_formation.get_paginator("list_stack_resources").paginate(StackName=stack_id)
            count = sum(len(page["StackResourceSummaries"]) for page in pages)
            self._cloud_formation.delete_stack(StackName=stack_id)
        self._follow(stack_id, "DELETE_COMPLETE", before, count, screen)

    def _described(self, arn: str) -> Any:
        while True:
            described = self._cloud_formation.describe_change_set(ChangeSetName=arn)
            if described["Status"] in {"CREATE_COMPLETE", "FAILED"}:
                return described
            self.cloud.sleep(_SECONDS_BETWEEN_LOOKS)

    def _changes(self, arn: str) -> Iterator[Change]:
        token: dict[str, str] = {}
        while True:
            page = self._cloud_formation.describe_change_set(ChangeSetName=arn, **token)
            for change in page["Changes"]:
                found = change["ResourceChange"]
                yield Change(
                    found["Action"],
                    found["LogicalResourceId"],
                    found["ResourceType"],
                    found.get("Replacement") == "True",
                )
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

    def _follow(self, stack_id: str, goal: str, before: set[str], count: int, screen: Screen) -> Found:
        seen = set(before)
        done: set[str] = set()
        failures: list[str] = []
        while True:
            found = self.find(stack_id)
            for event in self._new_events(stack_id, seen):
                if event["ResourceStatus"].endswith("_COMPLETE") and event["PhysicalResourceId"] != stack_id:
                    done.add(event["LogicalResourceId"])
                    screen.line(f"{f'[{len(done)}/{max(count, len(done))}]':10}{_told(event)}")
                elif event["ResourceStatus"].endswith("_FAILED") or event["PhysicalResourceId"] == stack_id:
                    screen.line(f"{'':10}{_told(event)}")
                failures += _failure(event, stack_id)
            if found is None or not found.status.endswith("_IN_PROGRESS"):
                break
            self.cloud.sleep(_SECONDS_BETWEEN_LOOKS)
        if found is not None and found.status == goal:
            return found
        reasons = failures or ["CloudFormation gives no reason"]
        raise Problem(
            f"The stack {self.name} ended in {found.status if found else 'nothing'} instead of {goal}:\n"
            + "\n".join(f"          {reason}" for reason in reasons),
            _advice(reasons[0]),
        )

    def _new_events(self, stack_id: str, seen: set[str]) -> list[Any]:
        """Oldest first; `seen` grows by them."""
        new = []
        with doing(f"reading the events of the stack {self.name}"):
            pages = self._cloud_formation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
            for page in pages:
                unseen = [event for event in page["StackEvents"] if event["EventId"] not in seen]
                new += unseen
                if len(unseen) < len(page["StackEvents"]):
                    break
        seen.update(event["EventId"] for event in new)
        return new[::-1]

    def _event_ids(self, stack_id: str) -> set[str]:
        seen: set[str] = set()
        self._new_events(stack_id, seen)
        return seen

    @property
    def _cloud_formation(self) -> Any:
        return self.cloud.client("cloudformation")


def _told(event: Mapping[str, Any]) -> str:
    """An event in words. CDK ends its identifiers with digests, which tell a person nothing."""
    name = re.sub(r"[0-9A-F]{8}([0-9a-f]{32})?$", "", event["LogicalResourceId"])
    return f"{event['ResourceStatus']} {short(event['ResourceType'])} {name}"


def _failure(event: Mapping[str, Any], stack_id: str) -> list[str]:
    """Why this resource failed, unless it only stopped because another one did."""
    reason = event.get("ResourceStatusReason", "no reason given")
    is_cause = event["ResourceStatus"].endswith("_FAILED") and not reason.startswith(_CONSEQUENCES)
    if not is_cause or event["PhysicalResourceId"] == stack_id:
        return []
    return [f"{event['LogicalResourceId']}: {reason}"]


def short(kind: str) -> str:
    """`AWS::DynamoDB::Table` as `DynamoDB Table`."""
    return kind.replace("AWS::", "").replace("::", " ")


def _advice(reason: str) -> str:
    return next(
        (advice for part, advice in _ADVICE.items() if part in reason),
        "Correct what it names and run again; CloudFormation's console has every event of the stack.",
    )
