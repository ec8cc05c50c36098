"""The customer's account, seen from one region."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped]  # its stubs would be a dependency of the installer
from botocore.exceptions import ClientError

from installer.problem import Problem, code_of, doing

Client = Any
"""A boto3 client; boto3 makes its methods at run time."""


@dataclass(frozen=True)
class Cloud:
    """Clients for one account and region. `sleep` waits between two looks at something that goes on."""

    account: str
    region: str
    caller: str
    client: Callable[[str], Client]
    sleep: Callable[[float], None] = time.sleep

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`."""
        return self.caller.split(":")[1]


def connect(profile: str | None, region: str | None, ask_region: Callable[[], str]) -> Cloud:
    """Find credentials and region as every AWS tool does, and see that AWS accepts them."""
    with doing("reading the AWS configuration"):
        session = boto3.Session(profile_name=profile, region_name=region)
        chosen = session.region_name or ask_region()
        if not chosen:
            raise Problem(
                "No region is given.", "Name the one in which you use SES with --region, such as eu-west-1."
            )
        if chosen != session.region_name:
            session = boto3.Session(profile_name=profile, region_name=chosen)
    with doing(f"asking who these credentials are, in {chosen}"):
        identity = session.client("sts").get_caller_identity()
    return Cloud(
        account=identity["Account"], region=chosen, caller=identity["Arn"], client=_Clients(session).get
    )


class _Clients:
    """One client for each service: making one reads files."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._made: dict[str, Client] = {}

    def get(self, service: str) -> Client:
        if service not in self._made:
            self._made[service] = self._session.client(service)
        return self._made[service]


def found(call: Callable[..., Any], *missing: str, **request: Any) -> Any | None:
    """The answer of `call`, or None when AWS says by a code of `missing` that there is no such thing."""
    try:
        return call(**request)
    except ClientError as error:
        if code_of(error) in missing:
            return None
        raise
