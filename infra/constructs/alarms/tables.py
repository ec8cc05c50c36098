"""Alarms on tables: requests that DynamoDB turns away."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from infra.constructs.alarms.alarm import TWICE, Alarms, AlarmText
from infra.constructs.metrics import of_table
from infra.constructs.tables import EmailTables


def watch_tables(alarms: Alarms, tables: EmailTables) -> None:
    for name, table in tables.by_name.items():
        metrics: dict[str, cloudwatch.IMetric] = {
            "reads": of_table(table, "ReadThrottleEvents"),
            "writes": of_table(table, "WriteThrottleEvents"),
        }
        for number, index in enumerate(tables.indexes[name]):
            metrics[f"index{number}"] = of_table(table, "WriteThrottleEvents", index=index)
        throttles = cloudwatch.MathExpression(
            expression=" + ".join(f"FILL({metric}, 0)" for metric in metrics),
            using_metrics=metrics,
            label="throttled requests",
            period=Duration.minutes(5),
        )
        alarms.above(
            f"{name}-Throttles",
            0,
            throttles,
            AlarmText(
                look="DynamoDB turns requests away, and an index in need throttles its table too: look at"
                " the account's DynamoDB quotas, and for one address or day that takes all.",
                page="tables",
            ),
            times=TWICE,
        )
