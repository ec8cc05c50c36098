"""DynamoDB tables. Indexes hold keys and what a listing shows, so that a status change rewrites none."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


class EmailTables(Construct):
    """`tracking` is the ledger, `suppression` the addresses never to write to, `state` what expires."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str) -> None:
        super().__init__(scope, construct_id)
        self.tracking = self._table("EmailTracking", prefix, key="emailId", expires=True)
        self.tracking.add_global_secondary_index(
            index_name="to-email-timestamp-index",
            partition_key=_text("toEmail"),
            sort_key=_text("timestamp"),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=["templateName"],
        )
        self.tracking.add_global_secondary_index(
            index_name="ses-message-id-index",
            partition_key=_text("sesMessageId"),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        self.tracking.add_global_secondary_index(
            index_name="date-partition-index",
            partition_key=_text("datePartition"),
            sort_key=_text("timestamp"),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=["templateName", "toEmail"],
        )
        # No TTL here: an address that must not be written to stays until a person takes it out.
        self.suppression = self._table("Suppression", prefix, key="email", expires=False)
        self.suppression.add_global_secondary_index(
            index_name="suppression-type-date-index",
            partition_key=_text("suppressionType"),
            sort_key=_text("addedToSuppressionDate"),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=["reason"],
        )
        self.state = self._table("State", prefix, key="pk", expires=True)

    def _table(self, name: str, prefix: str, *, key: str, expires: bool) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            name,
            table_name=f"{prefix}-{name}",
            partition_key=_text(key),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute="ttl" if expires else None,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
