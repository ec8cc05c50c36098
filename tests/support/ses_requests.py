"""Requests to SES as the AWS SDK makes them, for the tests of the simulator."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aioboto3
import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from engine.local.ses import Simulator, serve

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SESSION = aioboto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")


class ManualClock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time

    def turn(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@asynccontextmanager
async def connected(url: str, *, read_timeout: float = 60) -> AsyncIterator[Any]:
    """A client that tries once, as the engine's own does: what SES does with a request is to be seen once."""
    once = AioConfig(retries={"total_max_attempts": 1}, read_timeout=read_timeout)
    async with SESSION.client("sesv2", endpoint_url=url, config=once) as client:
        yield client


@asynccontextmanager
async def served(ses: Simulator) -> AsyncIterator[Any]:
    """A client of a simulator that is served for the block."""
    async with serve(ses) as url, connected(url) as client:
        yield client


def simple(**changes: Any) -> dict[str, Any]:
    content = {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Hi there"}}}
    request = {
        "FromEmailAddress": "Shop <shop@example.com>",
        "Destination": {"ToAddresses": ["ann@example.org"]},
        "Content": {"Simple": {**content, **changes.pop("simple", {})}},
        "ConfigurationSetName": "Engine-ConfigSet",
    }
    return {**request, **changes}


def bulk(*entries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    content = {"Subject": "{{subject}}", "Html": "<p>{{html}}</p>", "Text": "{{ text }}"}
    request = {
        "FromEmailAddress": "shop@example.com",
        "DefaultContent": {"Template": {"TemplateContent": content, "TemplateData": '{"subject":"News"}'}},
        "BulkEmailEntries": list(entries),
        "ConfigurationSetName": "Engine-ConfigSet",
    }
    return {**request, **changes}


def entry(to: str, tags: dict[str, str] | None = None, **data: Any) -> dict[str, Any]:
    data = {"html": "h", "text": "t", **data}
    return {
        "Destination": {"ToAddresses": [to]},
        "ReplacementTags": [{"Name": name, "Value": value} for name, value in (tags or {}).items()],
        "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": json.dumps(data)}},
    }


async def refusal(call: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        await call
    error = caught.value.response["Error"]
    return error["Code"], error["Message"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
