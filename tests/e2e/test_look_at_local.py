"""The commands that look, and the pages of the stack, against the environment of `make local`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from engine.cli import app
from engine.local.cases import SOURCE, request
from engine.local.environment import LocalEnvironment, running_environment
from engine.requests.email_job import email_id
from engine.schemas.status import EmailStatusChanged

ADDRESS = "bounce+look@simulator.amazonses.com"
KEY = "look-1"


@pytest.mark.e2e
async def test_an_email_is_found_and_explained_by_command_and_in_the_browser(tmp_path: Path) -> None:
    async with running_environment(lambda _: None, inbox_port=0, folder=tmp_path) as running:
        await _bounce(running)

        async def facts(*words: str) -> Any:
            where = [
                "--region",
                running.emulator.region,
                "--endpoint-url",
                running.emulator.endpoint,
                "--json",
            ]
            result = await asyncio.to_thread(CliRunner().invoke, app, [*words, *where])
            return json.loads(result.output)

        own_id = email_id(SOURCE, KEY)
        for words in (["find", ADDRESS], ["find", "--key", SOURCE, KEY], ["find", "--status", "bounced"]):
            assert [email["emailId"] for email in (await facts(*words))["emails"]] == [own_id]
        explained = await facts("explain", own_id)
        assert explained["verdict"]["sentence"].startswith("The receiving server refused it for good")
        assert [row["email"] for row in explained["suppressed"]] == [ADDRESS]
        status = await facts("status")
        assert status["today"] == {"source": "rows", "byStatus": {"bounced": 1}, "whole": True}
        assert status["unknown"] == {}
        assert "no metric of the stack" in (await facts("cost"))["verdict"]["sentence"]

        async with aiohttp.ClientSession(running.url) as browser:
            for path, text in (
                ("/stack", "1 sent, 0 delivered, 1 bounced"),
                (f"/suppression?address={ADDRESS.replace('+', '%2B')}", "gets no mail"),
                (f"/mail/{explained['email']['sesMessageId']}", "The receiving server refused it for good"),
            ):
                async with browser.get(path) as answer:
                    assert text in (await answer.text()).replace("<wbr>", ""), path


async def _bounce(running: LocalEnvironment) -> None:
    """Send an email, and wait until its bounce is told."""
    bounced = asyncio.Event()

    def hear(event: EmailStatusChanged) -> None:
        if event.status == "bounced":
            bounced.set()

    running.listeners.append(hear)
    async with running.emails(SOURCE) as emails:
        await emails.send(request(ADDRESS, idempotency_key=KEY))
    async with asyncio.timeout(60):
        await bounced.wait()
