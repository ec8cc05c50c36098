"""DynamoDB tables. Indexes hold keys and what a listing shows, so that a status change rewrites none."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


class EmailTables(Construct):
    """`tracking` is the ledger, `suppression` the addresses never to write to, `state` what expires.

    `by_name`: each of them, and `indexes`: the names of its indexes, by the table's name without the stack's.
    """

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str) -> None:
        super().__init__(scope, construct_id)
        self.by_name: dict[str, dynamodb.Table] = {}
        self.indexes: dict[str, list[str]] = {}
        self.tracking = self._table("EmailTracking", prefix, key="emailId", expires=True)
        self._index("EmailTracking", "to-email-timestamp-index", "toEmail", "timestamp", ["templateName"])
        self._index("EmailTracking", "ses-message-id-index", "sesMessageId")
        self._index(
            "EmailTracking", "date-partition-index", "datePartition", "timestamp", ["templateName", "toEmail"]
        )
        # No TTL here: an address that must not be written to stays until a person takes it out.
        self.suppression = self._table("Suppression", prefix, key="email", expires=False)
        self._index(
            "Suppression",
            "suppression-type-date-index",
            "suppressionType",
            "addedToSuppressionDate",
            ["reason"],
        )
        self.state = self._table("State", prefix, key="pk", expires=True)

    def _table(self, name: str, prefix: str, *, key: str, expires: bool) -> dynamodb.Table:
        table = dynamodb.Table(
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
        self.by_name[name], self.indexes[name] = table, []
        return table

    def _index(
        self, table: str, name: str, key: str, sort_key: str | None = None, shown: list[str] | None = None
    ) -> None:
        kind = dynamodb.ProjectionType
        self.by_name[table].add_global_secondary_index(
            index_name=name,
            partition_key=_text(key),
            sort_key=_text(sort_key) if sort_key else None,
            projection_type=kind.INCLUDE if shown else kind.KEYS_ONLY,
            non_key_attributes=shown,
        )
        self.indexes[table].append(name)
