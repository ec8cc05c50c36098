"""What outlives the stack: tables, queues and the templates' bucket. Found by name, taken over, deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.cloud import Cloud, found
from installer.code_bucket import bucket_is_ours, empty
from installer.problem import doing

_NAMES = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
}


@dataclass(frozen=True)
class Kept:
    """One of them. `identifier` is what CloudFormation imports it by."""

    logical_id: str
    kind: str
    name: str
    identifier: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.kind.rpartition('::')[2].lower()} {self.name}"


def find_kept(cloud: Cloud, stack: str, template: Mapping[str, Any]) -> Iterator[Kept]:
    """Those of the resources in `template` that are in the account, whoever made them."""
    for logical_id, resource in template["Resources"].items():
        kind = resource["Type"]
        name = _resolved(resource["Properties"][_NAMES[kind]], stack, cloud.account)
        with doing(f"looking for the {kind} {name}"):
            identifier = _identifier(cloud, kind, name)
        if identifier:
            yield Kept(logical_id, kind, name, identifier)


def import_request(kept: Sequence[Kept], template: Mapping[str, Any]) -> dict[str, Any]:
    """For CreateChangeSet: the stack shall own them again."""
    here = {one.logical_id: template["Resources"][one.logical_id] for one in kept}
    return {
        "TemplateBody": json.dumps({**template, "Resources": here}),
        "ResourcesToImport": [
            {
                "ResourceType": one.kind,
                "LogicalResourceId": one.logical_id,
                "ResourceIdentifier": dict(one.identifier),
            }
            for one in kept
        ],
    }


def delete(cloud: Cloud, one: Kept) -> None:
    with doing(f"deleting the {one}"):
        if one.kind == "AWS::DynamoDB::Table":
            tables = cloud.client("dynamodb")
            if tables.describe_table(TableName=one.name)["Table"].get("DeletionProtectionEnabled"):
                tables.update_table(TableName=one.name, DeletionProtectionEnabled=False)
            tables.delete_table(TableName=one.name)
        elif one.kind == "AWS::S3::Bucket":
            empty(cloud.client("s3"), one.name)
            cloud.client("s3").delete_bucket(Bucket=one.name)
        else:
            cloud.client("sqs").delete_queue(QueueUrl=one.identifier["QueueUrl"])


def _identifier(cloud: Cloud, kind: str, name: str) -> dict[str, str]:
    if kind == "AWS::DynamoDB::Table":
        table = found(cloud.client("dynamodb").describe_table, "ResourceNotFoundException", TableName=name)
        return {"TableName": name} if table else {}
    if kind == "AWS::S3::Bucket":
        return {"BucketName": name} if bucket_is_ours(cloud, name) else {}
    queue = found(
        cloud.client("sqs").get_queue_url,
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        QueueName=name,
    )
    return {"QueueUrl": queue["QueueUrl"]} if queue else {}


def _resolved(name: Any, stack: str, account: str) -> str:
    """A name of the template, made of the stack's name, the account and text."""
    if isinstance(name, str):
        return name
    if "Ref" in name:
        return {"AWS::StackName": stack, "AWS::AccountId": account}[name["Ref"]]
    separator, parts = name["Fn::Join"]
    joined: str = separator.join(_resolved(part, stack, account) for part in parts)
    return joined
