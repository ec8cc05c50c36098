"""Alarms on reputation, the account's and that of each stream, well before SES acts."""

from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch

from infra.constructs.alarms.alarm import STATUS, Alarms, AlarmText
from infra.constructs.configuration_set import SEPARATE, ConfigurationSets
from infra.constructs.metrics import of_account
from infra.constructs.parameters import Parameters

# Fractions. SES reviews an account at 5 % and 0.1 %.
# https://docs.aws.amazon.com/ses/latest/dg/reputationdashboard-messages.html
_BOUNCE_RATE: Final = 0.03
_COMPLAINT_RATE: Final = 0.0005


def watch_reputation(alarms: Alarms) -> None:
    _watch_rates(alarms, "SES", None, "The account's")


def watch_streams(alarms: Alarms, sets: ConfigurationSets, parameters: Parameters) -> None:
    """Where streams are separate, each set's own rates."""
    if not sets.bulk:
        return
    made = [
        *_watch_rates(alarms, "Transactional", sets.main.name, "Transactional mail's"),
        *_watch_rates(alarms, "Bulk", sets.bulk.name, "Bulk mail's"),
    ]
    parameters.make_only_if(SEPARATE, *made)


def _watch_rates(
    alarms: Alarms, prefix: str, configuration_set: str | None, whose: str
) -> list[cloudwatch.Alarm]:
    return [
        alarms.above(
            f"{prefix}-{name}",
            threshold,
            of_account(f"Reputation.{name}", configuration_set=configuration_set),
            AlarmText(
                look=f"{whose} share of {label} nears what SES puts it under review for: look for"
                " the campaign or template that causes them, and stop it by `sesmailengine stop`.",
                command=STATUS,
                page="reputation",
            ),
            # SES computes the rate from time to time; between two readings the last one holds.
            missing=cloudwatch.TreatMissingData.IGNORE,
        )
        for name, threshold, label in (
            ("BounceRate", _BOUNCE_RATE, "bounces"),
            ("ComplaintRate", _COMPLAINT_RATE, "complaints"),
        )
    ]
