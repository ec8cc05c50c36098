"""What outlives the stack: tables, queues and the templates' bucket. Found by name, imported again, deleted.

A stack that imports them must describe them as they are, or CloudFormation never makes the difference up: it
compares templates, not resources. So the shape that they were last deployed with lies beside the templates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.account import AwsAccount, get_or_none
from installer.code_bucket import bucket_is_ours, empty
from installer.errors import aws_errors

_NAMES = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
}
_SHAPE_KEY = "installer/retained.json"


@dataclass(frozen=True)
class RetainedResource:
    """One of them. `identifier` is what CloudFormation imports it by; None where it is not in the account."""

    logical_id: str
    kind: str
    name: str
    identifier: Mapping[str, str] | None

    def __str__(self) -> str:
        return f"{self.kind.rpartition('::')[2].lower()} {self.name}"


@dataclass(frozen=True)
class Shape:
    """How they are described: a template of nothing else, and the parameters that it is read with."""

    template: Mapping[str, Any]
    parameters: Sequence[Mapping[str, Any]]


def find_retained(account: AwsAccount, stack: str, template: Mapping[str, Any]) -> list[RetainedResource]:
    """Each of the resources in `template`, whether it is in the account or not, whoever made it."""
    found = []
    for logical_id, resource in template["Resources"].items():
        kind = resource["Type"]
        name = _resolved(resource["Properties"][_NAMES[kind]], stack, account.account_id)
        with aws_errors(f"looking for the {kind} {name}"):
            if kind == "AWS::DynamoDB::Table":
                describe = account.client("dynamodb").describe_table
                is_there = get_or_none(describe, "ResourceNotFoundException", TableName=name)
                identifier = {"TableName": name} if is_there else None
            elif kind == "AWS::S3::Bucket":
                identifier = {"BucketName": name} if bucket_is_ours(account, name) else None
            else:
                queue = get_or_none(
                    account.client("sqs").get_queue_url,
                    "AWS.SimpleQueueService.NonExistentQueue",
                    "QueueDoesNotExist",
                    QueueName=name,
                )
                identifier = {"QueueUrl": queue["QueueUrl"]} if queue else None
        found.append(RetainedResource(logical_id, kind, name, identifier))
    return found


def record_shape(
    account: AwsAccount, stack: str, template: Mapping[str, Any], parameters: Mapping[str, str]
) -> None:
    """Keep with the data how they were deployed, for the installation that imports them one day."""
    shape = {
        "template": template,
        "parameters": [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in sorted(parameters.items())
            if name in template["Parameters"]
        ],
    }
    bucket = _bucket(account, stack, template)
    with aws_errors(f"writing {_SHAPE_KEY} to the bucket {bucket}"):
        account.client("s3").put_object(
            Bucket=bucket,
            Key=_SHAPE_KEY,
            Body=json.dumps(shape).encode(),
            ExpectedBucketOwner=account.account_id,
        )


def recorded_shape(account: AwsAccount, stack: str, template: Mapping[str, Any]) -> Shape | None:
    """What `record_shape` kept, if it did. `template`: this release's, which names the bucket."""
    bucket = _bucket(account, stack, template)
    with aws_errors(f"reading {_SHAPE_KEY} from the bucket {bucket}"):
        answer = get_or_none(
            account.client("s3").get_object, "NoSuchKey", "NoSuchBucket", Bucket=bucket, Key=_SHAPE_KEY
        )
        if answer is None:
            return None
        kept = json.loads(answer["Body"].read())
    return Shape(kept["template"], kept["parameters"])


def import_request(present: Sequence[RetainedResource], shape: Shape) -> dict[str, Any]:
    """For CreateChangeSet: the stack shall own them again, as `shape` describes them."""
    known = [one for one in present if one.logical_id in shape.template["Resources"]]
    resources = {
        # An import that is rolled back must leave the data alone; the update after it sets the stack's own.
        one.logical_id: {**shape.template["Resources"][one.logical_id], "DeletionPolicy": "Retain"}
        for one in known
    }
    return {
        "TemplateBody": json.dumps({**shape.template, "Resources": resources}),
        "Parameters": list(shape.parameters),
        "ResourcesToImport": [
            {
                "ResourceType": one.kind,
                "LogicalResourceId": one.logical_id,
                "ResourceIdentifier": dict(one.identifier or {}),
            }
            for one in known
        ],
    }


def delete(account: AwsAccount, one: RetainedResource) -> None:
    with aws_errors(f"deleting the {one}"):
        if one.kind == "AWS::DynamoDB::Table":
            tables = account.client("dynamodb")
            if tables.describe_table(TableName=one.name)["Table"].get("DeletionProtectionEnabled"):
                tables.update_table(TableName=one.name, DeletionProtectionEnabled=False)
            tables.delete_table(TableName=one.name)
        elif one.kind == "AWS::S3::Bucket":
            empty(account.client("s3"), one.name)
            account.client("s3").delete_bucket(Bucket=one.name)
        elif one.identifier:
            account.client("sqs").delete_queue(QueueUrl=one.identifier["QueueUrl"])


def _bucket(account: AwsAccount, stack: str, template: Mapping[str, Any]) -> str:
    (bucket,) = (
        resource["Properties"]["BucketName"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::S3::Bucket"
    )
    return _resolved(bucket, stack, account.account_id)


def _resolved(name: Any, stack: str, account_id: str) -> str:
    """A name of the template, made of the stack's name, the account and text."""
    if isinstance(name, str):
        return name
    if "Ref" in name:
        return {"AWS::StackName": stack, "AWS::AccountId": account_id}[name["Ref"]]
    if "Fn::If" in name:  # whether the stack's name has capitals, which the installer refuses
        _, _, otherwise = name["Fn::If"]
        return _resolved(otherwise, stack, account_id)
    separator, parts = name["Fn::Join"]
    joined: str = separator.join(_resolved(part, stack, account_id) for part in parts)
    return joined
