"""Logs Insights queries over the functions' logs, saved under the stack's name for whoever looks there.

They go by the lines that `engine.telemetry` writes: `email-settled` and `status-reached` name an email, its
lane, template and campaign. A line that repeats a status has it in `previous` too, and does not count.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import aws_logs as logs
from constructs import Construct

_BY: Final = "lane, template, campaign"
_NEW: Final = 'message in ["email-settled", "status-reached"] and status != previous'
_COUNT: Final = f"stats count(*) as emails by status, {_BY} | sort emails desc"

QUERIES: Final[Mapping[str, str]] = {
    "Bounces and complaints by template and campaign": (
        f'filter {_NEW} and status in ["bounced", "complained"]\n| {_COUNT}'
    ),
    "Settled by lane, template and campaign": f"filter {_NEW}\n| {_COUNT}",
    "What failed and why": (
        f'filter {_NEW} and status = "failed"\n| stats count(*) as emails by code, {_BY} | sort emails desc'
    ),
    "What went wrong in the functions": (
        'filter level in ["WARNING", "ERROR"]\n'
        "| stats count(*) as times, latest(@timestamp) as last by function, message, problem\n"
        "| sort times desc"
    ),
    "The story of one email": (
        "fields @timestamp, function, message, status, previous, code, problem, lane, template, campaign\n"
        '| filter email_id = "PUT THE EMAIL ID HERE"\n| sort @timestamp asc'
    ),
    "Deferred by reason": (
        'filter message = "email-deferred"\n| stats sum(emails) as deferred by reason, bin(15m)'
    ),
}


class LogQueries(Construct):
    """`groups`: of the functions. What a query's name has before the slash is its folder in the console."""

    def __init__(
        self, scope: Construct, construct_id: str, *, prefix: str, groups: Sequence[logs.ILogGroup]
    ) -> None:
        super().__init__(scope, construct_id)
        for number, (name, text) in enumerate(QUERIES.items()):
            logs.CfnQueryDefinition(
                self,
                f"Query{number}",
                name=f"{prefix}/{name}",
                query_string=text,
                log_group_names=[group.log_group_name for group in groups],
            )
