"""The customer's account, seen from one region."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped]  # its stubs would be a dependency of the installer
from botocore.exceptions import ClientError

from installer.errors import InstallError, aws_errors, error_code

Client = Any
"""A boto3 client; boto3 makes its methods at run time."""


@dataclass(frozen=True)
class AwsAccount:
    """Clients for one account and region. `sleep` waits (seconds) until the next look at what goes on."""

    account_id: str
    region: str
    caller: str
    client: Callable[[str], Client]
    sleep: Callable[[float], None] = time.sleep

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`."""
        return self.caller.split(":")[1]


def connect(profile: str | None, region: str | None, ask_region: Callable[[], str]) -> AwsAccount:
    """Find credentials and region as every AWS tool does, and see that AWS accepts them."""
    with aws_errors("reading the AWS configuration"):
        session = boto3.Session(profile_name=profile, region_name=region)
        chosen = session.region_name or ask_region()
        if not chosen:
            raise InstallError(
                "No region is given.", "Name the one in which you use SES with --region, such as eu-west-1."
            )
        if chosen != session.region_name:
            session = boto3.Session(profile_name=profile, region_name=chosen)
    clients: dict[str, Client] = {}  # one a service: making one reads files

    def client(service: str) -> Client:
        if service not in clients:
            clients[service] = session.client(service)
        return clients[service]

    with aws_errors(f"asking who these credentials are, in {chosen}"):
        identity = client("sts").get_caller_identity()
    return AwsAccount(identity["Account"], chosen, identity["Arn"], client)


def get_or_none(call: Callable[..., Any], *missing: str, **request: Any) -> Any | None:
    """The answer of `call`, or None when AWS says by a code of `missing` that there is no such thing."""
    try:
        return call(**request)
    except ClientError as error:
        if error_code(error) in missing:
            return None
        raise
