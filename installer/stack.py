"""The CloudFormation stack: change sets, and following what CloudFormation does."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from installer.account import AwsAccount
from installer.errors import PERMISSIONS_REMEDY, InstallError, aws_errors
from installer.screen import Screen

_SECONDS_BETWEEN_LOOKS = 2.0
_NOTHING_CHANGED = ("didn't contain changes", "No updates are to be performed")
# What CloudFormation says of resources that stopped because another one failed.
_CONSEQUENCES = ("Resource creation cancelled", "Resource update cancelled")

# States that nothing leads out of but deletion. A stack that failed to import holds nothing: what it was to
# take over stays outside of it.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
_FAILED_STATES = {
    "CREATE_FAILED",
    "ROLLBACK_COMPLETE",
    "ROLLBACK_FAILED",
    "DELETE_FAILED",
    "IMPORT_ROLLBACK_COMPLETE",
    "IMPORT_ROLLBACK_FAILED",
}

# A part of a reason, and what to do about it.
_ADVICE = {
    "UnreservedConcurrentExecution": (
        "Ask for a higher Lambda quota `Concurrent executions` (docs/install.md), and run again."
    ),
    # CloudFormation's handler stumbles over the error that it wants to report:
    # https://github.com/aws/aws-cdk/issues/32501
    "KinesisFirehoseDestination": (
        "This is not about Firehose: CloudFormation hides SES's own reason behind it, which is that SES "
        "could not publish to the stack's topic SESFeedback. Run the same command again: the policies of "
        "topic and key may have needed a minute. If it comes again, a policy of your organization stands in "
        "the way of SES, SNS or KMS: ask whoever runs it."
    ),
    "attached to entities": (
        "Detach the stack's policies, -Support, -Operator and -Privacy, from whoever has them; run again."
    ),
    "already exists": (
        "Something by this name is there, and not of an earlier installation. Remove it, or choose another "
        "--stack-name."
    ),
    "not authorized": PERMISSIONS_REMEDY,
    "AccessDenied": PERMISSIONS_REMEDY,
}


@dataclass(frozen=True)
class StackInfo:
    """The stack as it is."""

    stack_id: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    protected: bool

    @property
    def exists(self) -> bool:
        """False for what a change set that was never carried out leaves behind."""
        return self.status != "REVIEW_IN_PROGRESS"


@dataclass(frozen=True)
class ResourceChange:
    action: str
    logical_id: str
    kind: str
    replaces: bool

    def __str__(self) -> str:
        replaced = " (REPLACED)" if self.replaces else ""
        return f"{self.action:8}{_short(self.kind)} {self.logical_id}{replaced}"


@dataclass(frozen=True)
class ChangeSet:
    arn: str
    stack_id: str
    changes: Sequence[ResourceChange]


def reject_failed_stack(info: StackInfo, name: str, place: str) -> None:
    """Raise `InstallError` for a stack that only deletion helps. `place`: the flags that lead to it."""
    if info.status in _FAILED_STATES:
        raise InstallError(
            f"The stack {name} is what a failed operation left ({info.status}).",
            f"Remove it with --uninstall {place}, which keeps the data, and install anew.",
        )


@dataclass(frozen=True)
class CloudFormationStack:
    account: AwsAccount
    name: str

    def find(self, stack_id: str | None = None) -> StackInfo | None:
        """The stack by its name, or by the identifier that finds it when it is deleted as well."""
        try:
            with aws_errors(f"looking at the stack {self.name}"):
                (stack,) = self._client.describe_stacks(StackName=stack_id or self.name)["Stacks"]
        except InstallError as error:
            if isinstance(error.__cause__, ClientError) and "does not exist" in str(error.__cause__):
                return None
            raise
        if stack_id is None and stack["StackStatus"] == "DELETE_COMPLETE":
            return None
        return StackInfo(
            stack_id=stack["StackId"],
            status=stack["StackStatus"],
            parameters={
                one["ParameterKey"]: one.get("ParameterValue", "") for one in stack.get("Parameters", ())
            },
            outputs={one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", ())},
            protected=stack.get("EnableTerminationProtection", False),
        )

    def prepare(self, kind: str, **request: Any) -> ChangeSet | None:
        """A change set of `kind` CREATE, UPDATE or IMPORT, to be executed; None when nothing changes."""
        with aws_errors(f"describing the changes to the stack {self.name}"):
            answer = self._client.create_change_set(
                StackName=self.name,
                ChangeSetName=f"installer-{time.time_ns()}",
                ChangeSetType=kind,
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
                **request,
            )
            arn = answer["Id"]
            page = self._client.describe_change_set(ChangeSetName=arn)
            while page["Status"] not in {"CREATE_COMPLETE", "FAILED"}:
                self.account.sleep(_SECONDS_BETWEEN_LOOKS)
                page = self._client.describe_change_set(ChangeSetName=arn)
            if page["Status"] == "CREATE_COMPLETE":
                changes = list(page["Changes"])
                while page.get("NextToken"):
                    page = self._client.describe_change_set(ChangeSetName=arn, NextToken=page["NextToken"])
                    changes += page["Changes"]
                return ChangeSet(arn, answer["StackId"], [_change(one["ResourceChange"]) for one in changes])
        reason = page.get("StatusReason", "")
        self.discard(arn)
        if any(text in reason for text in _NOTHING_CHANGED):
            return None
        raise InstallError(f"CloudFormation can't make these changes: {reason}", _advice(reason))

    def discard(self, change_set: str) -> None:
        with aws_errors("deleting a change set"):
            self._client.delete_change_set(ChangeSetName=change_set)

    def execute(self, change_set: ChangeSet, goal: str, screen: Screen) -> StackInfo:
        """Carry it out and show how it goes; raises `InstallError` unless it ends in the status `goal`."""
        before = self._event_ids(change_set.stack_id)
        with aws_errors(f"changing the stack {self.name}"):
            self._client.execute_change_set(ChangeSetName=change_set.arn)
        return self._follow(change_set.stack_id, goal, before, len(change_set.changes), screen)

    def delete(self, stack_id: str, screen: Screen) -> None:
        before = self._event_ids(stack_id)
        with aws_errors(f"deleting the stack {self.name}"):
            pages = self._client.get_paginator("list_stack_resources").paginate(StackName=stack_id)
            count = sum(len(page["StackResourceSummaries"]) for page in pages)
            self._client.delete_stack(StackName=stack_id)
        self._follow(stack_id, "DELETE_COMPLETE", before, count, screen)

    def _follow(self, stack_id: str, goal: str, before: set[str], count: int, screen: Screen) -> StackInfo:
        seen = set(before)
        done: set[str] = set()
        failures: list[str] = []
        while True:
            info = self.find(stack_id)
            for event in self._new_events(stack_id, seen):
                status, logical_id = event["ResourceStatus"], event["LogicalResourceId"]
                is_stack = event["PhysicalResourceId"] == stack_id
                # CDK ends its identifiers with digests, which tell a person nothing.
                name = re.sub(r"[0-9A-F]{8}([0-9a-f]{32})?$", "", logical_id)
                line = f"{status} {_short(event['ResourceType'])} {name}"
                if status.endswith("_COMPLETE") and not is_stack:
                    done.add(logical_id)
                    screen.line(f"{f'[{len(done)}/{max(count, len(done))}]':10}{line}")
                elif status.endswith("_FAILED") or is_stack:
                    screen.line(f"{'':10}{line}")
                reason = event.get("ResourceStatusReason", "no reason given")
                if status.endswith("_FAILED") and not is_stack and not reason.startswith(_CONSEQUENCES):
                    failures.append(f"{logical_id}: {reason}")
            if info is None or not info.status.endswith("_IN_PROGRESS"):
                break
            self.account.sleep(_SECONDS_BETWEEN_LOOKS)
        if info is not None and info.status == goal:
            return info
        reasons = failures or ["CloudFormation gives no reason"]
        raise InstallError(
            f"The stack {self.name} ended in {info.status if info else 'nothing'} instead of {goal}:\n"
            + "\n".join(f"          {reason}" for reason in reasons),
            _advice(reasons[0]),
        )

    def _new_events(self, stack_id: str, seen: set[str]) -> list[Any]:
        """Oldest first; `seen` grows by them."""
        new = []
        with aws_errors(f"reading the events of the stack {self.name}"):
            pages = self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id)
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
    def _client(self) -> Any:
        return self.account.client("cloudformation")


def _change(change: Mapping[str, Any]) -> ResourceChange:
    return ResourceChange(
        change["Action"],
        change["LogicalResourceId"],
        change["ResourceType"],
        change.get("Replacement") == "True",
    )


def _short(kind: str) -> str:
    """`AWS::DynamoDB::Table` as `DynamoDB Table`."""
    return kind.replace("AWS::", "").replace("::", " ")


def _advice(reason: str) -> str:
    return next(
        (advice for part, advice in _ADVICE.items() if part.lower() in reason.lower()),
        "Correct what it names and run again; CloudFormation's console has every event of the stack.",
    )
