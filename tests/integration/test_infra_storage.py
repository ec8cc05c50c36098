"""What is kept: three tables, the bucket of templates, the queues, and under which identifiers."""

import pytest
from tests.support.synthesized import ACCOUNT, PINNED, Deployed, deployed, synthesis


@pytest.mark.parametrize(
    ("table", "key", "indexes"),
    [
        (
            "EmailTracking",
            "emailId",
            {
                "to-email-timestamp-index": ["toEmail", "timestamp"],
                "ses-message-id-index": ["sesMessageId"],
                "date-partition-index": ["datePartition", "timestamp"],
            },
        ),
        (
            "Suppression",
            "email",
            {"suppression-type-date-index": ["suppressionType", "addedToSuppressionDate"]},
        ),
        ("State", "pk", {}),
    ],
)
def test_a_table_has_the_keys_and_indexes_of_the_contract(
    table: str, key: str, indexes: dict[str, list[str]]
) -> None:
    made = deployed().find("AWS::DynamoDB::Table", TableName=f"mail-{table}")
    properties = made["Properties"]
    assert properties["KeySchema"] == [{"AttributeName": key, "KeyType": "HASH"}]
    assert {
        index["IndexName"]: [part["AttributeName"] for part in index["KeySchema"]]
        for index in properties.get("GlobalSecondaryIndexes", [])
    } == indexes
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_data_is_never_deleted_with_the_stack() -> None:
    """But what an installation that failed has made goes again, or its name would block the next one."""
    stack = deployed()
    kept = [*stack.all("AWS::DynamoDB::Table").values(), *stack.all("AWS::S3::Bucket").values()]
    assert len(kept) == 4
    assert {made["DeletionPolicy"] for made in kept} == {"RetainExceptOnCreate"}
    assert {made["UpdateReplacePolicy"] for made in kept} == {"Retain"}


def test_no_index_of_the_ledger_holds_the_status_so_that_a_change_rewrites_none() -> None:
    table = deployed().properties("AWS::DynamoDB::Table", TableName="mail-EmailTracking")
    for index in table["GlobalSecondaryIndexes"]:
        projection = index["Projection"]
        assert projection["ProjectionType"] in {"KEYS_ONLY", "INCLUDE"}
        assert set(projection.get("NonKeyAttributes", [])) <= {"toEmail", "templateName"}


def test_suppression_never_expires_and_the_other_tables_expire_by_ttl() -> None:
    expiring = {
        made["Properties"]["TableName"]: made["Properties"].get("TimeToLiveSpecification")
        for made in deployed().all("AWS::DynamoDB::Table").values()
    }
    ttl = {"AttributeName": "ttl", "Enabled": True}
    assert expiring == {"mail-EmailTracking": ttl, "mail-State": ttl, "mail-Suppression": None}


def test_the_bucket_is_versioned_encrypted_and_private() -> None:
    bucket = deployed().properties("AWS::S3::Bucket", BucketName=f"mail-templates-{ACCOUNT}")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }


def test_the_bucket_refuses_plain_http() -> None:
    (policy,) = deployed().all("AWS::S3::BucketPolicy").values()
    denied = [
        statement["Condition"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
    ]
    assert denied == [{"Bool": {"aws:SecureTransport": "false"}}]


# CloudFormation replaces a resource whose identifier or name changes: an upgrade must find its data again.
KEPT = {
    "TablesEmailTrackingD2AEECE3": "mail-EmailTracking",
    "TablesSuppression64B7EE14": "mail-Suppression",
    "TablesState705891C2": "mail-State",
    "TemplatesBucket402C2D6D": f"mail-templates-{ACCOUNT}",
    "QueuesEventBridgeDLQ32204122": "mail-EventBridgeDLQ",
    "QueuesEmailRetryDLQ1C546CF6": "mail-EmailRetryDLQ",
    "QueuesBulkEmailDLQ8A80B629": "mail-BulkEmailDLQ",
    "QueuesFeedbackProcessorDLQ591EE5A5": "mail-FeedbackProcessorDLQ",
    "QueuesWebhookDLQA32771F4": "mail-WebhookDLQ",
    "QueuesEmailRetryQueue5450D76F": "mail-EmailRetryQueue",
    "QueuesBulkEmailQueue33392D05": "mail-BulkEmailQueue",
    "QueuesParkedEmailQueue9523A366": "mail-ParkedEmailQueue",
}
NAMES = {"AWS::DynamoDB::Table": "TableName", "AWS::S3::Bucket": "BucketName", "AWS::SQS::Queue": "QueueName"}


@pytest.mark.parametrize("context", [{}, PINNED], ids=["parameters", "context"])
def test_what_holds_data_keeps_its_identifier_and_its_name_from_one_version_to_the_next(
    context: dict[str, str],
) -> None:
    stack = Deployed(synthesis(**context).template, {"DefaultSenderEmail": "a@example.com"})
    found = {
        logical_id: made["Properties"][name]
        for kind, name in NAMES.items()
        for logical_id, made in stack.all(kind).items()
    }
    assert found == KEPT


@pytest.mark.parametrize("stack", ["Mail", "mail-Z", "SESMailEngine"])
def test_a_stack_with_capitals_in_its_name_gets_a_bucket_that_cloudformation_names(stack: str) -> None:
    """No bucket may be called so. CDK and the installer refuse such a name; the bare template can't."""
    ((_, bucket),) = deployed(place={"AWS::StackName": stack}).all("AWS::S3::Bucket").items()
    assert "BucketName" not in bucket["Properties"]
