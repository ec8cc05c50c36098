"""What a batch with files takes of the memory that the sender has, in a process of its own."""

import asyncio
import multiprocessing
import resource
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.support.cloud import queue_event, request_event
from tests.support.harness import Harness, plenty

from engine.aws.clients import SES_CONFIG, Clients
from engine.aws.mailer import SesMailer
from engine.local.ses.threaded import ThreadedSimulator
from engine.sending.pipeline import SendingPipeline

BUDGET = 400_000_000  # bytes, of the 512 MB that the sender has by default
# Linux tells the peak in units of 1 KB, macOS in bytes.
UNIT = 1 if sys.platform == "darwin" else 1024

Files = Mapping[str, int]
"""Bytes of the objects of the template bucket, by key."""


def peak_of_sending(files: Files, events: list[dict[str, Any]]) -> int:
    """Send a batch by SES's real client, in this process; the most bytes that it has had."""
    asyncio.run(send(files, events))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


async def send(files: Files, events: list[dict[str, Any]]) -> None:
    harness = Harness()
    harness.fake_aws.templates.attachments |= {key: bytes(size) for key, size in files.items()}
    clients = Clients()
    ses = await clients.open("sesv2", SES_CONFIG)
    mailer = SesMailer(ses, "ConfigSet", harness.fake_aws.telemetry)
    deps = replace(harness.lanes.pipeline.deps, mailer=mailer)
    lanes = replace(harness.lanes, pipeline=SendingPipeline(deps))
    await lanes.queue(queue_event(*events), plenty)
    await clients.close()


def with_files(number: int, keys: list[str]) -> dict[str, Any]:
    pdf = {"fileName": "a.pdf", "contentType": "application/pdf"}
    attachments = [pdf | {"s3Key": f"attachments/{key}"} for key in keys]
    return request_event(to=f"{number}@example.com", priority="bulk", attachments=attachments)


@pytest.mark.parametrize(
    ("keys", "size", "leave"),
    [
        ([["a"]] * 50, 4_000_000, 16),
        ([[f"{number}"] for number in range(50)], 4_000_000, 16),
        ([["a"]] * 3, 25_000_000, 2),
    ],
    ids=["one file in all", "a file for each", "the largest"],
)
def test_a_batch_with_files_stays_within_its_memory(
    ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch, keys: list[list[str]], size: int, leave: int
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", ses.url)
    files = {f"attachments/{key}": size for some in keys for key in some}
    events = [with_files(number, some) for number, some in enumerate(keys)]
    with multiprocessing.get_context("spawn").Pool(1) as process:
        peak = process.apply(peak_of_sending, (files, events))
    assert len(ses.messages) == leave
    assert peak < BUDGET
