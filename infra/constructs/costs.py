"""Metric math for what a thousand emails cost, from what the stack's parts report about themselves.

A `MathExpression` is computed by CloudWatch as it is looked at: it makes no metric of its own.
"""

from collections.abc import Mapping

from aws_cdk import aws_cloudwatch as cloudwatch

from engine.operations import prices
from engine.telemetry import STATUS_METRICS
from infra.constructs.functions import EngineFunction
from infra.constructs.metrics import FIVE_MINUTES, EngineMetrics, of_function, of_queue, of_table
from infra.constructs.parameters import Parameters
from infra.constructs.queues import EmailQueues
from infra.constructs.tables import EmailTables

# A message is sent, received and deleted.
_REQUESTS_A_MESSAGE = 3

_Metrics = dict[str, cloudwatch.IMetric]


def cost_per_thousand(
    *,
    sender: EngineFunction,
    processor: EngineFunction,
    counted: Mapping[str, EngineMetrics],
    queues: EmailQueues,
    tables: EmailTables,
    parameters: Parameters,
) -> list[cloudwatch.IMetric]:
    """Dollars for a thousand sent emails: of each service around SES, and of all with SES.

    `counted`: the metrics of both functions, "sender" and "processor".
    """
    sent = counted["sender"].count("EmailsSent")
    parts = {
        "functions": _functions(
            {
                "sender": (sender.name, parameters.text("sender_memory")),
                "processor": (processor.name, parameters.text("feedback_memory")),
            }
        ),
        "tables": _tables(tables),
        "events": _events(counted, processor),
        "queueing": _queues(queues),
        "logging": _logs({"sender": sender, "processor": processor}),
    }
    around = " + ".join(parts)
    whole: list[tuple[str, str]] = [
        ("Around SES", f"1000 * ({around}) / sent"),
        ("With SES", f"1000 * (({around}) / sent + {_price(prices.SES_EMAIL)})"),
        ("With SES Essentials", f"1000 * (({around}) / sent + {_price(prices.SES_EMAIL_ESSENTIALS)})"),
    ]
    return [_dollars(expression, {"sent": sent, **parts}, label) for label, expression in whole]


def _functions(functions: Mapping[str, tuple[str, str]]) -> cloudwatch.IMetric:
    metrics: _Metrics = {}
    terms = []
    for name, (function, memory) in functions.items():
        metrics[f"{name}Time"] = of_function(function, "Duration")
        metrics[f"{name}Calls"] = of_function(function, "Invocations")
        terms.append(
            f"FILL({name}Time, 0) / 1000 * {memory} / 1024 * {_price(prices.LAMBDA_GB_SECOND)}"
            f" + FILL({name}Calls, 0) * {_price(prices.LAMBDA_REQUEST)}"
        )
    return _dollars(" + ".join(terms), metrics, "Lambda")


def _tables(tables: EmailTables) -> cloudwatch.IMetric:
    writes: _Metrics = {}
    reads: _Metrics = {}
    for name, table in tables.by_name.items():
        writes[f"writes{name}"] = of_table(table, "ConsumedWriteCapacityUnits")
        reads[f"reads{name}"] = of_table(table, "ConsumedReadCapacityUnits")
        for number, index in enumerate(tables.indexes[name]):
            writes[f"writes{name}{number}"] = of_table(table, "ConsumedWriteCapacityUnits", index=index)
            reads[f"reads{name}{number}"] = of_table(table, "ConsumedReadCapacityUnits", index=index)
    terms = [_priced(writes, prices.DYNAMODB_WRITE), _priced(reads, prices.DYNAMODB_READ)]
    return _dollars(" + ".join(terms), {**writes, **reads}, "DynamoDB")


def _events(counted: Mapping[str, EngineMetrics], processor: EngineFunction) -> cloudwatch.IMetric:
    """A request for each email and an event for each status; SNS hands over one report a call."""
    events: _Metrics = {"requests": counted["sender"].count("EmailsSettled")}
    for who, metrics in counted.items():
        for status, name in STATUS_METRICS.items():
            events[f"{who}{status.title().replace('_', '')}"] = metrics.count(name)
    reports: _Metrics = {"reports": of_function(processor.name, "Invocations")}
    terms = [_priced(events, prices.EVENTBRIDGE_EVENT), _priced(reports, prices.SNS_PUBLISH)]
    return _dollars(" + ".join(terms), {**events, **reports}, "EventBridge and SNS")


def _queues(queues: EmailQueues) -> cloudwatch.IMetric:
    messages: _Metrics = {
        name: of_queue(queue, "NumberOfMessagesSent").with_(statistic="Sum", period=FIVE_MINUTES)
        for name, queue in {"retried": queues.retry, "bulk": queues.bulk}.items()
    }
    return _dollars(_priced(messages, _REQUESTS_A_MESSAGE * prices.SQS_REQUEST), messages, "SQS")


def _logs(functions: Mapping[str, EngineFunction]) -> cloudwatch.IMetric:
    written: _Metrics = {
        f"{name}Log": cloudwatch.Metric(
            namespace="AWS/Logs",
            metric_name="IncomingBytes",
            dimensions_map={"LogGroupName": function.log_group.log_group_name},
            statistic="Sum",
        )
        for name, function in functions.items()
    }
    return _dollars(_priced(written, prices.LOG_BYTE), written, "Logs")


def _priced(metrics: _Metrics, price: float) -> str:
    """A metric without a value counts nothing; without FILL it would take the whole sum with it."""
    total = " + ".join(f"FILL({name}, 0)" for name in metrics)
    return f"({total}) * {_price(price)}"


def _dollars(expression: str, metrics: _Metrics, label: str) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(
        expression=expression, using_metrics=metrics, label=label, period=FIVE_MINUTES
    )


def _price(price: float) -> str:
    """Without an exponent, which metric math does not read."""
    return f"{price:.12f}".rstrip("0")
