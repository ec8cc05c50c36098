"""CloudWatch metrics that alarms and dashboard look at: the engine's own and AWS's."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_sqs as sqs

from engine.telemetry import SERVICE
from infra.constructs.parameters import Parameters

FIVE_MINUTES = Duration.minutes(5)


class EngineMetrics:
    """What a function counted, as `engine.telemetry` names it."""

    def __init__(self, function: str, parameters: Parameters) -> None:
        self._dimensions = {"service": function, "environment": parameters.text("environment")}

    def count(self, name: str, *, label: str | None = None) -> cloudwatch.Metric:
        """Alarms take no label: with one CDK writes them as an expression."""
        return cloudwatch.Metric(
            namespace=SERVICE,
            metric_name=name,
            dimensions_map=self._dimensions,
            statistic="Sum",
            period=FIVE_MINUTES,
            label=label,
        )


def of_function(
    function: str, name: str, *, statistic: str = "Sum", label: str | None = None
) -> cloudwatch.Metric:
    """Of all its versions: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html."""
    return cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name=name,
        dimensions_map={"FunctionName": function},
        statistic=statistic,
        period=FIVE_MINUTES,
        label=label,
    )


def of_queue(queue: sqs.IQueue, name: str, *, label: str | None = None) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/SQS",
        metric_name=name,
        dimensions_map={"QueueName": queue.queue_name},
        statistic="Maximum",
        period=Duration.minutes(1),
        label=label,
    )


def of_account(
    name: str, *, configuration_set: str | None = None, label: str | None = None
) -> cloudwatch.Metric:
    """Reputation is the account's: SES pauses the account, not a stack. A set's own shows whose fault it is.

    https://docs.aws.amazon.com/ses/latest/dg/reputationdashboard-cloudwatch-alarm.html
    """
    return cloudwatch.Metric(
        namespace="AWS/SES",
        metric_name=name,
        dimensions_map={"ses:configuration-set": configuration_set} if configuration_set else None,
        statistic="Average",
        period=Duration.hours(1),
        label=label,
    )


def of_table(
    table: dynamodb.ITable, name: str, *, index: str | None = None, label: str | None = None
) -> cloudwatch.Metric:
    dimensions_map = {"TableName": table.table_name}
    if index:
        dimensions_map["GlobalSecondaryIndexName"] = index
    return cloudwatch.Metric(
        namespace="AWS/DynamoDB",
        metric_name=name,
        dimensions_map=dimensions_map,
        statistic="Sum",
        period=FIVE_MINUTES,
        label=label,
    )
