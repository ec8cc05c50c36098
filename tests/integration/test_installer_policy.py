"""docs/install-policy.json: a role that may install, upgrade and uninstall the stack, and nothing else.

CloudFormation acts with the credentials of whoever installs, and each resource type says which permissions
its handlers may need: tests/support/handler_permissions.json has them, without what only lists resources, of
the public schemas of 7 August 2026.
https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
"""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from tests.support.aws_calls import Ask
from tests.support.iam import allows, grants
from tests.support.synthesized import ACCOUNT, REGION, deployed

ROOT = Path(__file__).parents[2]
POLICY = json.loads((ROOT / "docs" / "install-policy.json").read_text())
STATEMENTS: list[dict[str, Any]] = POLICY["Statement"]
HANDLERS: dict[str, list[str]] = json.loads((ROOT / "tests/support/handler_permissions.json").read_text())

# What handlers may need for features that the stack does not use.
UNUSED = {
    "another service": ("codedeploy:* ec2:* elasticfilesystem:* firehose:* kinesis:* s3files:* s3tables:*"),
    "items, import, replicas and streams of a table": (
        "dynamodb:*Item dynamodb:*Import* dynamodb:*Replica dynamodb:Query dynamodb:Scan"
        " dynamodb:*KinesisStreamingDestination dynamodb:UpdateContributorInsights"
        " dynamodb:PutResourcePolicy dynamodb:DeleteResourcePolicy iam:CreateServiceLinkedRole"
        " logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents"
    ),
    "encryption with a key of the customer's": (
        "kms:CreateGrant kms:RevokeGrant kms:Decrypt kms:Encrypt kms:GenerateDataKey* kms:ReEncrypt*"
        " logs:AssociateKmsKey logs:DisassociateKmsKey"
    ),
    "what a function, version or alias may have besides": (
        "lambda:*CodeSigningConfig lambda:PutProvisionedConcurrencyConfig lambda:GetLayerVersion"
        " lambda:DeleteProvisionedConcurrencyConfig lambda:PassCapacityProvider s3:GetObjectVersion"
        " lambda:PutFunctionRecursionConfig lambda:PutFunctionScalingConfig lambda:PutRuntimeManagementConfig"
    ),
    "policies of users and groups, managed ones of a role, and its boundaries": (
        "iam:*GroupPolicy iam:*UserPolicy iam:AttachRolePolicy iam:DetachRolePolicy"
        " iam:*PermissionsBoundary iam:ListRoleTags"
    ),
    "data protection, delivery and indexes of logs and topics": (
        "*:*DataProtectionPolicy logs:*LogDelivery logs:*IndexPolicy logs:*ResourcePolicy logs:*BearerToken*"
        " logs:*DeletionProtection s3:REST.*"
    ),
    "what a bucket may have besides": (
        "s3:*Accelerate* s3:*Analytics* s3:*Abac s3:*Acl s3:*Cors s3:*IntelligentTiering* s3:*Inventory*"
        " s3:*Lifecycle* s3:*Logging s3:*Metadata* s3:*Metrics* s3:*Notification s3:*ObjectLock*"
        " s3:*Replication* s3:*Website s3:TagResource s3:UntagResource s3:ListTagsForResource"
        " s3:DeleteBucketTagging s3:DeleteBucketEncryption"
    ),
    "copies of a secret in other regions": (
        "secretsmanager:RemoveRegionsFromReplication secretsmanager:ReplicateSecretToRegions"
    ),
    "what a configuration set may have besides": (
        "ses:PutConfigurationSet*Vdm* ses:PutConfigurationSet*Archiving*"
    ),
}

# A resource of the stack that each action is asked about; the rest is asked about "*".
RESOURCES = {
    "cloudformation": [f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{{}}/0a1b"],
    "cloudwatch": [
        f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{{}}-SES-Paused",
        f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{{}}-Emails",
    ],
    "dynamodb": [f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{}}-EmailTracking"],
    "events": [
        f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{{}}-EmailBus",
        f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{{}}-EmailBus/{{}}-EmailEventRule",
    ],
    "iam": [
        f"arn:aws:iam::{ACCOUNT}:role/{{}}-EmailSenderRole96F34267-0A1B2C",
        f"arn:aws:iam::{ACCOUNT}:policy/{{}}-Support",
    ],
    "lambda": [
        f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}-EmailSender",
        f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:0a1b",
    ],
    "logs": [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/{{}}-EmailSender"],
    "s3": [
        "arn:aws:s3:::{}-code-111122223333",
        "arn:aws:s3:::{}-code-111122223333/lambda/0a1b.zip",
        "arn:aws:s3:::{}-templates-111122223333",
        "arn:aws:s3:::{}-templates-111122223333/installer/retained.json",
    ],
    "scheduler": [
        f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/{{}}-Scheduled",
        f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{{}}-Scheduled/0a1b",
    ],
    "schemas": [
        f"arn:aws:schemas:{REGION}:{ACCOUNT}:registry/{{}}-Events",
        f"arn:aws:schemas:{REGION}:{ACCOUNT}:schema/{{}}-Events/EmailRequest",
    ],
    "ses": [f"arn:aws:ses:{REGION}:{ACCOUNT}:configuration-set/{{}}-ConfigSet"],
    "secretsmanager": [f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{{}}-Unsubscribe-0a1b2c"],
    "sns": [f"arn:aws:sns:{REGION}:{ACCOUNT}:{{}}-SESFeedback"],
    "sqs": [f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}-BulkEmailQueue"],
}

# What the installer itself calls, by boto3's names; iam:PassRole goes with a function's role.
CALLS = {
    "cloudformation:CreateChangeSet": "create_change_set",
    "cloudformation:DeleteChangeSet": "delete_change_set",
    "cloudformation:DeleteStack": "delete_stack",
    "cloudformation:DescribeChangeSet": "describe_change_set",
    "cloudformation:DescribeStackEvents": "describe_stack_events",
    "cloudformation:DescribeStacks": "describe_stacks",
    "cloudformation:ExecuteChangeSet": "execute_change_set",
    "cloudformation:ListStackResources": "list_stack_resources",
    "dynamodb:DescribeTable": "describe_table",
    "lambda:GetAccountSettings": "get_account_settings",
    "lambda:GetFunctionConcurrency": "get_function_concurrency",
    "lambda:InvokeFunction": "invoke",
    "s3:CreateBucket": "create_bucket",
    "s3:DeleteBucket": "delete_bucket",
    "s3:DeleteObject": "delete_object",
    "s3:DeleteObjectVersion": "delete_objects",
    "s3:GetObject": "get_object",
    "s3:ListBucket": "head_bucket",  # which also tells a key that is missing from one that may not be read
    "s3:ListBucketVersions": "list_object_versions",
    "s3:PutBucketPolicy": "put_bucket_policy",
    "s3:PutBucketPublicAccessBlock": "put_public_access_block",
    "s3:PutBucketTagging": "put_bucket_tagging",
    "s3:PutBucketVersioning": "put_bucket_versioning",
    "s3:PutEncryptionConfiguration": "put_bucket_encryption",
    "s3:PutObject": "put_object",
    "ses:GetAccount": "get_account",
    "ses:GetEmailIdentity": "get_email_identity",
    "sqs:GetQueueUrl": "get_queue_url",
}
# Of the installer's own methods, those that only `--delete-data` calls: an administrator's.
DATA_CALLS = {"delete_queue", "delete_table", "update_table"}
BY_CLOUDFORMATION = (("aws:CalledVia", "cloudformation.amazonaws.com"),)
FOR_THE_STACK = (
    *BY_CLOUDFORMATION,
    ("iam:PassedToService", "lambda.amazonaws.com"),
    ("lambda:FunctionArn", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:sesmailengine-EmailSender:live"),
)


def resources_of(action: str, stack: str) -> list[str]:
    return [arn.replace("{}", stack) for arn in RESOURCES.get(action.partition(":")[0].lower(), ())]


def may(action: str) -> bool:
    """Whether it is allowed on any resource of the stack, for CloudFormation where it must be."""
    asked = (*resources_of(action, "sesmailengine"), "*")
    return any(allows(STATEMENTS, Ask(action, resource, FOR_THE_STACK)) for resource in asked)


def is_unused(action: str) -> bool:
    patterns = " ".join(UNUSED.values()).split()
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


def actions() -> set[str]:
    return {action for action, _ in grants(STATEMENTS)}


def test_the_handlers_of_every_resource_type_of_the_stack_are_known() -> None:
    whole = deployed(HostedUnsubscribe="true").template["Resources"]
    kinds = {resource["Type"] for resource in whole.values()}
    assert {kind for kind in kinds if kind.startswith("AWS::")} == HANDLERS.keys()


@pytest.mark.parametrize("kind", HANDLERS)
def test_every_permission_that_a_handler_needs_is_there(kind: str) -> None:
    missing = [action for action in HANDLERS[kind] if not may(action) and not is_unused(action)]
    assert missing == []


def test_nothing_is_called_unused_that_no_handler_asks_for() -> None:
    asked = {action.lower() for listed in HANDLERS.values() for action in listed}
    patterns = " ".join(UNUSED.values()).split()
    assert [one for one in patterns if not any(fnmatchcase(action, one.lower()) for action in asked)] == []


@pytest.mark.parametrize("action", CALLS)
def test_every_call_of_the_installer_itself_is_allowed(action: str) -> None:
    assert may(action)


def test_no_call_of_the_installer_is_missing_from_these() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "installer").glob("*.py"))
    for method in CALLS.values():
        assert re.search(rf"\b{method}\b", source), method
    called = set(re.findall(r"(?:_s3|_client|client\(\"\w+\"\)|tables|functions)\.(\w+)", source))
    no_action = {"get_caller_identity", "get_paginator", "meta"}  # of its own
    known = {*CALLS.values(), "head_object", *DATA_CALLS, *no_action}
    assert called <= known


def test_nothing_is_allowed_that_neither_a_handler_nor_the_installer_needs() -> None:
    needed = {action.lower() for listed in (*HANDLERS.values(), CALLS) for action in listed}
    assert [action for action in actions() if action.lower() not in needed] == []


def test_no_action_is_a_pattern() -> None:
    assert [action for action in actions() if "*" in action] == []


def test_the_resources_of_another_stack_are_out_of_reach() -> None:
    for action in actions():
        for resource in resources_of(action, "payroll"):
            if "payroll" in resource and action not in everywhere():
                assert not allows(STATEMENTS, Ask(action, resource, FOR_THE_STACK)), (action, resource)


def everywhere() -> dict[str, Any]:
    """The actions that are held to no name, with their conditions."""
    return {
        action: statement.get("Condition")
        for statement in STATEMENTS
        if statement["Resource"] == ["*"]
        for action in statement["Action"]
    }


def test_what_is_held_to_no_name_only_looks_or_is_for_cloudformation_alone() -> None:
    """A key's name and an event source mapping's are not known beforehand; some actions know no resource."""
    for action, condition in everywhere().items():
        if condition is None:
            assert ":Get" in action
        else:
            assert condition["ForAnyValue:StringEquals"] == {"aws:CalledVia": "cloudformation.amazonaws.com"}


def test_roles_are_made_by_cloudformation_alone_and_given_to_lambda_alone() -> None:
    role, _ = (arn.format("sesmailengine") for arn in RESOURCES["iam"])
    assert not allows(STATEMENTS, Ask("iam:PutRolePolicy", role))
    assert allows(STATEMENTS, Ask("iam:PutRolePolicy", role, BY_CLOUDFORMATION))
    assert not allows(STATEMENTS, Ask("iam:PassRole", role, (("iam:PassedToService", "ec2.amazonaws.com"),)))


def test_it_fits_into_an_inline_policy_of_a_role() -> None:
    assert len(json.dumps(POLICY, separators=(",", ":"))) <= 10_240
