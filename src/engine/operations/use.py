"""What a stack uses of AWS besides SES: the metrics that measure it, and its prices."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from engine.aws.ledger import SES_MESSAGE_ID_INDEX
from engine.operations import prices
from engine.operations.ledger_reader import ADDRESS_INDEX, DAY_INDEX
from engine.operations.metrics import Metric, counted
from engine.operations.queues import LANES
from engine.operations.settings import PROCESSOR, SENDER, FunctionConfiguration
from engine.operations.stack import DeployedStack
from engine.operations.suppression_table import DATE_INDEX
from engine.telemetry import STATUS_METRICS

_REQUESTS_A_MESSAGE: Final = 3  # a message is sent, received and deleted
_INDEXES: Final[Mapping[str, tuple[str, ...]]] = {
    "EmailTracking": (ADDRESS_INDEX, SES_MESSAGE_ID_INDEX, DAY_INDEX),
    "Suppression": (DATE_INDEX,),
    "State": (),
}


class CostLine(Struct, frozen=True, kw_only=True, rename="camel"):
    """One kind of use, as CloudWatch has measured it, at the price that was read."""

    what: str
    quantity: float
    unit: str
    dollars: float


class Use(Struct, frozen=True):
    """Metrics of which the sum has a price; `factor` turns the sum into the unit that is paid for."""

    what: str
    unit: str
    metrics: tuple[Metric, ...]
    price: float
    factor: float = 1

    def line(self, totals: Mapping[Metric, float]) -> CostLine:
        quantity = self.factor * sum(totals[metric] for metric in self.metrics)
        return CostLine(what=self.what, quantity=quantity, unit=self.unit, dollars=quantity * self.price)


def uses(stack: DeployedStack, sender: FunctionConfiguration, processor: FunctionConfiguration) -> list[Use]:
    stage = sender.sender_settings().environment
    functions = {SENDER: sender.memory, PROCESSOR: processor.memory}
    names = [stack.resource(function) for function in functions]
    events = [counted(names[0], stage, "EmailsSettled")]
    events += [counted(name, stage, metric) for name in names for metric in STATUS_METRICS.values()]
    return [
        *(
            Use(
                f"Lambda {function}",
                "GB-seconds",
                _metrics("AWS/Lambda", "Duration", "FunctionName", [stack.resource(function)]),
                prices.LAMBDA_GB_SECOND,
                memory / 1024 / 1000,
            )
            for function, memory in functions.items()
        ),
        Use(
            "Lambda",
            "invocations",
            _metrics("AWS/Lambda", "Invocations", "FunctionName", names),
            prices.LAMBDA_REQUEST,
        ),
        Use("DynamoDB", "writes", _table_metrics(stack, "Write"), prices.DYNAMODB_WRITE),
        Use("DynamoDB", "reads", _table_metrics(stack, "Read"), prices.DYNAMODB_READ),
        Use("EventBridge", "events", tuple(events), prices.EVENTBRIDGE_EVENT),
        Use(
            "SNS",
            "reports",
            _metrics("AWS/Lambda", "Invocations", "FunctionName", [names[1]]),
            prices.SNS_PUBLISH,
        ),
        Use(
            "SQS",
            "requests",
            _metrics("AWS/SQS", "NumberOfMessagesSent", "QueueName", map(stack.resource, LANES)),
            prices.SQS_REQUEST,
            _REQUESTS_A_MESSAGE,
        ),
        Use(
            "Logs",
            "bytes",
            _metrics("AWS/Logs", "IncomingBytes", "LogGroupName", map(log_group, names)),
            prices.LOG_BYTE,
        ),
    ]


def _metrics(namespace: str, name: str, dimension: str, values: Iterable[str]) -> tuple[Metric, ...]:
    return tuple(Metric(namespace, name, ((dimension, value),)) for value in values)


def _table_metrics(stack: DeployedStack, kind: str) -> tuple[Metric, ...]:
    name = f"Consumed{kind}CapacityUnits"
    found = []
    for table, indexes in _INDEXES.items():
        of_table = (("TableName", stack.resource(table)),)
        found.append(Metric("AWS/DynamoDB", name, of_table))
        for index in indexes:
            dimensions = (*of_table, ("GlobalSecondaryIndexName", index))
            found.append(Metric("AWS/DynamoDB", name, dimensions))
    return tuple(found)


def log_group(function: str) -> str:
    return f"/aws/lambda/{function}"
