"""What a batch with files takes of the memory that the sender has."""

import asyncio
import multiprocessing
import tracemalloc
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.support.cloud import queue_event, request_event
from tests.support.fakes import FakeTemplates
from tests.support.harness import Harness, plenty

from engine.aws.clients import SES_CONFIG, Clients
from engine.aws.mailer import SesMailer
from engine.local.ses.threaded import ThreadedSimulator
from engine.schemas.request import Lane
from engine.sending.pipeline import SendingPipeline
from engine.sending.streams import Stream

# Bytes. The sender has 512 MB by default, of which its libraries take some 120 before the first email.
BUDGET = 250_000_000


@dataclass
class Bucket(FakeTemplates):
    """A template bucket in which every file has `size` bytes."""

    size: int = 0

    async def attachment_size(self, s3_key: str) -> int:  # noqa: ARG002 - the port's signature
        return self.size

    async def load_attachment(self, s3_key: str) -> bytes:  # noqa: ARG002 - as above
        return bytes(self.size)


def peak_of_sending(size: int, events: list[dict[str, Any]]) -> int:
    """The most bytes that were allocated at once while SES's real client sent a batch."""
    tracemalloc.start()
    asyncio.run(send(size, events))
    return tracemalloc.get_traced_memory()[1]


async def send(size: int, events: list[dict[str, Any]]) -> None:
    harness = Harness()
    clients = Clients()
    ses = await clients.open("sesv2", SES_CONFIG)
    deps = replace(
        harness.lanes.pipeline.deps,
        templates=Bucket(size=size),
        mailer=SesMailer(ses, dict.fromkeys(Lane, Stream("ConfigSet")), harness.fake_aws.telemetry),
    )
    lanes = replace(harness.lanes, pipeline=SendingPipeline(deps))
    await lanes.queue(queue_event(*events), plenty)
    await clients.close()


def with_file(number: int, key: str) -> dict[str, Any]:
    file = {"fileName": "a.pdf", "contentType": "application/pdf", "s3Key": f"attachments/{key}"}
    return request_event(to=f"{number}@example.com", priority="bulk", attachments=[file])


@pytest.mark.parametrize(
    ("keys", "size", "leave"),
    [
        (["a"] * 50, 4_000_000, 16),
        ([f"{number}" for number in range(50)], 4_000_000, 16),
        (["a"] * 3, 25_000_000, 2),
    ],
    ids=["one file in all", "a file for each", "the largest"],
)
def test_a_batch_with_files_stays_within_its_memory(
    ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch, keys: list[str], size: int, leave: int
) -> None:
    """In a process of its own: the simulator keeps what it was sent."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", ses.url)
    events = [with_file(number, key) for number, key in enumerate(keys)]
    with multiprocessing.get_context("spawn").Pool(1) as process:
        peak = process.apply(peak_of_sending, (size, events))
    assert len(ses.messages) == leave
    assert peak < BUDGET
