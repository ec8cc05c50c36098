"""What is kept: three tables and the bucket of templates."""

import pytest
from tests.support.synthesized import ACCOUNT, deployed

from infra.constructs.metrics import INDEXES


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
    assert set(INDEXES[table]) == set(indexes)  # what the alarms and the dashboard watch
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
