"""AWS's answers to the installer, by hand: an account that is ready, unless a test says otherwise."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from installer.account import AwsAccount
from installer.screen import Screen

ACCOUNT = "123456789012"
REGION = "eu-west-1"
STACK = "shop-mail"
TEMPLATES = f"{STACK}-templates-{ACCOUNT}"
CODE = f"{STACK}-code-{ACCOUNT}"
SENDER = {"DefaultSenderEmail": "hello@shop.example"}
STACK_ID = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/1"


def refusal(code: str, message: str = "", operation: str = "Call") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class Ses:
    def __init__(
        self, identities: dict[str, bool] | None = None, *, production: bool = True, sending: bool = True
    ) -> None:
        self._identities = {"shop.example": True} if identities is None else identities
        self._account = {
            "ProductionAccessEnabled": production,
            "SendingEnabled": sending,
            "SendQuota": {"Max24HourSend": 50_000.0 if production else 200.0, "MaxSendRate": 14.0},
        }

    def get_email_identity(self, *, EmailIdentity: str) -> dict[str, Any]:
        if EmailIdentity not in self._identities:
            raise refusal("NotFoundException")
        return {"VerifiedForSendingStatus": self._identities[EmailIdentity]}

    def get_account(self) -> dict[str, Any]:
        return self._account


class Functions:
    """Lambda: its limits, what the stack's functions reserve, and what the seeder answers."""

    def __init__(
        self,
        limit: int = 1000,
        free: int | None = None,
        reserved: dict[str, int] | None = None,
        seeder: dict[str, Any] | None = None,
    ) -> None:
        self._limits = {
            "ConcurrentExecutions": limit,
            "UnreservedConcurrentExecutions": limit if free is None else free,
        }
        self._reserved = reserved or {}
        self._seeder = seeder or {"created": ["welcome"], "kept": []}

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": self._limits}

    def get_function_concurrency(self, *, FunctionName: str) -> dict[str, Any]:
        if FunctionName not in self._reserved:
            raise refusal("ResourceNotFoundException")
        return {"ReservedConcurrentExecutions": self._reserved[FunctionName]}

    def invoke(self, **_: Any) -> dict[str, Any]:
        answer = {"Payload": io.BytesIO(json.dumps(self._seeder).encode())}
        return {**answer, "FunctionError": "Unhandled"} if "errorMessage" in self._seeder else answer


@dataclass
class Bucket:
    """S3, with one owner for each bucket and the objects that were put into it."""

    owners: dict[str, str] = field(default_factory=dict)
    regions: dict[str, str] = field(default_factory=dict)
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    undeletable: tuple[str, ...] = ()

    class meta:  # noqa: N801 -- boto3's own name
        endpoint_url = "https://s3.eu-west-1.amazonaws.com"

    def head_bucket(self, *, Bucket: str, ExpectedBucketOwner: str) -> dict[str, Any]:
        if Bucket not in self.owners:
            raise refusal("404", "Not Found")
        if self.owners[Bucket] != ExpectedBucketOwner:
            raise refusal("403", "Forbidden")
        return {"BucketRegion": self.regions.get(Bucket, REGION)}

    def create_bucket(self, *, Bucket: str, **more: Any) -> None:
        self.owners[Bucket] = ACCOUNT
        self.calls.append(("create_bucket", {"Bucket": Bucket, **more}))

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if (Bucket, Key) not in self.objects:
            raise refusal("404", "Not Found")
        return {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:
        self.objects[Bucket, Key] = Body
        return {"VersionId": "1"}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if (Bucket, Key) not in self.objects:
            raise refusal("NoSuchKey")
        return {"Body": io.BytesIO(self.objects[Bucket, Key])}

    def delete_object(self, *, Bucket: str, Key: str, **_: Any) -> None:
        del self.objects[Bucket, Key]

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        errors = []
        for entry in Delete["Objects"]:
            if entry["Key"] in self.undeletable:
                errors.append({"Key": entry["Key"], "Code": "AccessDenied", "Message": "locked"})
            else:
                del self.objects[Bucket, entry["Key"]]
        return {"Errors": errors}

    def delete_bucket(self, *, Bucket: str) -> None:
        assert not [name for name, _ in self.objects if name == Bucket]
        del self.owners[Bucket]

    def get_paginator(self, _: str) -> "Pages":
        return Pages(
            lambda Bucket: {
                "Versions": [{"Key": key, "VersionId": "1"} for name, key in self.objects if name == Bucket]
            }
        )

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith("put_bucket") and name != "put_public_access_block":
            raise AttributeError(name)
        return lambda **request: self.calls.append((name, request))


class Pages:
    def __init__(self, page: Callable[..., dict[str, Any]]) -> None:
        self._page = page

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        yield self._page(**request)


def event(number: int, status: str, logical: str, kind: str, reason: str = "") -> dict[str, Any]:
    return {
        "EventId": str(number),
        "ResourceStatus": status,
        "LogicalResourceId": logical,
        "PhysicalResourceId": STACK_ID if kind == "AWS::CloudFormation::Stack" else logical,
        "ResourceType": kind,
        **({"ResourceStatusReason": reason} if reason else {}),
    }


@dataclass
class CloudFormation:
    """One stack. Its operations end in `ends` with `events`; change sets fail for the reason `refused`."""

    status: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    ends: str = ""
    refused: str = ""
    protected: bool = False
    change_sets: list[dict[str, Any]] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        if self.status is None:
            raise refusal("ValidationError", f"Stack with id {StackName} does not exist")
        stack = {
            "StackId": STACK_ID,
            "StackStatus": self.status,
            "EnableTerminationProtection": self.protected,
            "Parameters": [
                {"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()
            ],
            "Outputs": [{"OutputKey": "EventBusName", "OutputValue": f"{STACK}-EmailBus"}],
        }
        return {"Stacks": [stack]}

    def create_change_set(self, **request: Any) -> dict[str, Any]:
        self.change_sets.append(request)
        return {"Id": f"change-set-{len(self.change_sets)}", "StackId": STACK_ID}

    def describe_change_set(self, *, ChangeSetName: str) -> dict[str, Any]:
        assert ChangeSetName == f"change-set-{len(self.change_sets)}"
        if self.refused:
            return {"Status": "FAILED", "StatusReason": self.refused}
        return {"Status": "CREATE_COMPLETE", "Changes": self.changes}

    def delete_change_set(self, *, ChangeSetName: str) -> None:
        self.discarded.append(ChangeSetName)

    def execute_change_set(self, *, ChangeSetName: str) -> None:
        assert ChangeSetName not in self.discarded
        self._happens({"CREATE": "CREATE_COMPLETE", "UPDATE": "UPDATE_COMPLETE", "IMPORT": "IMPORT_COMPLETE"})

    def delete_stack(self, *, StackName: str) -> None:
        assert StackName == STACK_ID
        self._happens({})

    def _happens(self, goals: dict[str, str]) -> None:
        kind = self.change_sets[-1]["ChangeSetType"] if self.change_sets else ""
        self.status = self.ends or goals.get(kind, "DELETE_COMPLETE")
        self.told = self.events

    def get_paginator(self, operation: str) -> Pages:
        if operation == "list_stack_resources":
            return Pages(lambda **_: {"StackResourceSummaries": self.changes})
        return Pages(lambda **_: {"StackEvents": self.told[::-1]})


@dataclass
class Tables:
    names: set[str] = field(default_factory=set)
    protected: bool = False

    def describe_table(self, *, TableName: str) -> dict[str, Any]:
        if TableName not in self.names:
            raise refusal("ResourceNotFoundException")
        return {"Table": {"DeletionProtectionEnabled": self.protected}}

    def update_table(self, *, TableName: str, DeletionProtectionEnabled: bool) -> None:
        assert TableName in self.names
        self.protected = DeletionProtectionEnabled

    def delete_table(self, *, TableName: str) -> None:
        assert not self.protected
        self.names.remove(TableName)


@dataclass
class Queues:
    names: set[str] = field(default_factory=set)

    def get_queue_url(self, *, QueueName: str) -> dict[str, str]:
        if QueueName not in self.names:
            raise refusal("AWS.SimpleQueueService.NonExistentQueue")
        return {"QueueUrl": f"https://sqs/{QueueName}"}

    def delete_queue(self, *, QueueUrl: str) -> None:
        self.names.remove(QueueUrl.rpartition("/")[2])


@dataclass
class FakeAccount:
    """Every service that the installer talks to."""

    sesv2: Ses = field(default_factory=Ses)
    functions: Functions = field(default_factory=Functions)
    s3: Bucket = field(default_factory=Bucket)
    cloudformation: CloudFormation = field(default_factory=CloudFormation)
    dynamodb: Tables = field(default_factory=Tables)
    sqs: Queues = field(default_factory=Queues)
    waits: list[float] = field(default_factory=list)

    @property
    def aws(self) -> AwsAccount:
        return AwsAccount(
            account_id=ACCOUNT,
            region=REGION,
            caller=f"arn:aws:iam::{ACCOUNT}:user/ada",
            client=lambda name: self.functions if name == "lambda" else getattr(self, name),
            sleep=self.waits.append,
        )


class FakeScreen:
    """A screen that is read, and a person who answers in order."""

    def __init__(self, *answers: str, agreed: bool = True) -> None:
        self._out = io.StringIO()
        waiting = iter(answers)
        self.questions: list[str] = []

        def answer(question: str) -> str:
            self.questions.append(question)
            return next(waiting)

        self.screen = Screen(self._out, answer if answers else None, agreed=agreed)

    @property
    def said(self) -> str:
        """All of it on one line, as wrapping is for the eye alone."""
        return " ".join(self._out.getvalue().split())


FACTS: dict[str, Any] = {
    "version": "1.2.3",
    "parameters": {
        "CodeBucket": {"Type": "String"},
        "EmailSenderCodeKey": {"Type": "String", "Default": "x"},
        "FeedbackProcessorCodeKey": {"Type": "String", "Default": "x"},
        "TemplateSeederCodeKey": {"Type": "String", "Default": "x"},
        "DefaultSenderEmail": {
            "Type": "String",
            "AllowedPattern": r"^\S+@\S+$",
            "ConstraintDescription": "it must be an address",
            "Description": "Address that sends",
        },
        "AdminEmail": {"Type": "String", "Default": "", "MaxLength": 20},
        "LogLevel": {"Type": "String", "Default": "INFO", "AllowedValues": ["DEBUG", "INFO"]},
        "SenderMemory": {"Type": "Number", "Default": 512, "MinValue": 128, "MaxValue": 10240},
        "SenderConcurrency": {"Type": "Number", "Default": 14, "MinValue": 0},
        "FeedbackConcurrency": {"Type": "Number", "Default": 100, "MinValue": 0},
        "UnsubscribeConcurrency": {"Type": "Number", "Default": 2, "MinValue": 0},
        "HostedUnsubscribe": {"Type": "String", "Default": "false", "AllowedValues": ["true", "false"]},
        "BulkConcurrency": {"Type": "Number", "Default": 8},
        "RetryConcurrency": {"Type": "Number", "Default": 2},
        "SnapStart": {"Type": "String", "Default": "true", "AllowedValues": ["true", "false"]},
    },
    "reservedConcurrency": {
        "SenderConcurrency": "",
        "FeedbackConcurrency": "",
        "UnsubscribeConcurrency": "HostedUnsubscribe",
    },
    "regions": ["eu-west-1", "us-gov-west-1"],
    "regionsWithout": {"SnapStart": ["us-gov-west-1"], "RegisterSchemas": ["ap-south-2"]},
    "retainedTemplate": {
        "Parameters": {"CodeBucket": {"Type": "String"}},
        "Resources": {
            "Tracking": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "TableName": {"Fn::Join": ["", [{"Ref": "AWS::StackName"}, "-EmailTracking"]]}
                },
            },
            "Templates": {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "BucketName": {
                        "Fn::Join": ["-", [{"Ref": "AWS::StackName"}, "templates", {"Ref": "AWS::AccountId"}]]
                    }
                },
            },
            "Retries": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "retries"}},
        },
    },
}


def unpacked_package(folder: Path) -> Path:
    """A package as small as one can be, under `folder`."""
    for name, content in {
        "installer/release.json": json.dumps(FACTS),
        "lambda/email-sender.zip": "engine",
        "lambda/feedback-processor.zip": "engine",
        "lambda/template-seeder.zip": "seeder",
        "template.yaml": "Resources: {}",
        "starter-templates/welcome/sample.json": '{"userName": "Ada"}',
    }.items():
        path = folder / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder / "package"
