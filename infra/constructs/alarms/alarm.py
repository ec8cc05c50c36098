"""An alarm: how it rings, and what it tells."""

from dataclasses import dataclass
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

# Commands that help, the AWS CLI's or ours, with `{stack}` for the stack's name.
LOG: Final = "aws logs tail /aws/lambda/{{stack}}-{function} --since 1h"
SENDER_LOG: Final = LOG.format(function="EmailSender")
STATUS: Final = "sesmailengine status --stack {stack}"
DOCTOR: Final = "sesmailengine doctor --stack {stack}"

# How many periods must breach, of how many in a row.
ONCE: Final = (1, 1)
TWICE: Final = (2, 2)


@dataclass(frozen=True, kw_only=True)
class AlarmText:
    """What an alarm tells: what to look at, which command helps, and the section of docs/operations.md."""

    look: str
    page: str
    command: str = SENDER_LOG


class Alarms(Construct):
    """The alarms of a stack; all of them go to `topic`."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, topic: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        self._notify = actions.SnsAction(topic)

    def above(
        self,
        name: str,
        threshold: float,
        metric: cloudwatch.IMetric,
        text: AlarmText,
        *,
        times: tuple[int, int] = ONCE,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> cloudwatch.Alarm:
        breaching, periods = times
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._prefix}-{name}",
            alarm_description=(
                f"{text.look} Run `{text.command.replace('{stack}', self._prefix)}`."
                f" More: docs/operations.md#{text.page}"
            ),
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            datapoints_to_alarm=breaching if breaching != periods else None,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(self._notify)
        return alarm
