"""The emulator's life, and the queue that we put in front of asynchronous invocations."""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aioboto3
import aiohttp
import pytest
from botocore.exceptions import ClientError

from engine.local import emulator as emulators
from engine.local.emulator import Emulator, EmulatorError, running_emulator
from engine.local.ses.account import Account
from engine.local.ses.threaded import ThreadedSimulator
from engine.operations.stack import StackAddress, connect

# Fails for what says so, and answers each event on the queue that its configuration names.
_FUNCTION = """
import json, os, time, botocore.session
def handler(event, context):
    text = json.dumps(event)
    time.sleep(float(os.environ["NAP"]))
    if "fail" in text:
        raise ValueError("asked to fail")
    sqs = botocore.session.get_session().create_client("sqs")
    answer = json.dumps([text, os.environ.get("FROM_OUTSIDE")])
    sqs.send_message(QueueUrl=os.environ["ANSWERS"], MessageBody=answer)
"""


def _listens(endpoint: str) -> bool:
    host, _, port = endpoint.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class TestLife:
    async def test_it_answers_inside_the_block_and_is_gone_after_it(self, tmp_path: Path) -> None:
        async with (
            running_emulator(tmp_path) as emulator,
            aiohttp.ClientSession() as session,
            session.get(f"{emulator.endpoint}/_ministack/health") as health,
        ):
            assert health.ok
        assert not _listens(emulator.endpoint)
        assert "Ready" in emulator.log.read_text()
        assert _names(tmp_path) == ["emulator.log"]

    async def test_it_stops_when_the_block_fails(self, tmp_path: Path) -> None:
        running: list[Emulator] = []

        async def fail_inside() -> None:
            async with running_emulator(tmp_path) as emulator:
                running.append(emulator)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail_inside()
        assert not _listens(running[0].endpoint)

    async def test_it_stops_when_the_task_that_waits_inside_the_block_is_cancelled(
        self, tmp_path: Path
    ) -> None:
        started: asyncio.Future[Emulator] = asyncio.get_running_loop().create_future()

        async def wait_inside() -> None:
            async with running_emulator(tmp_path) as emulator:
                started.set_result(emulator)
                await asyncio.Event().wait()

        waiting = asyncio.create_task(wait_inside())
        emulator = await started
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not _listens(emulator.endpoint)

    async def test_it_stops_when_the_process_that_started_it_is_killed(self, tmp_path: Path) -> None:
        program = """
import asyncio, sys
from pathlib import Path
from engine.local.emulator import running_emulator
async def main():
    async with running_emulator(Path(sys.argv[1])) as emulator:
        print(emulator.endpoint, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(tmp_path), stdout=subprocess.PIPE
        )
        assert parent.stdout is not None
        host, _, port = (
            (await parent.stdout.readline()).decode().strip().removeprefix("http://").partition(":")
        )
        # An open connection ends when the emulator does: nothing to poll for.
        reader, writer = await asyncio.open_connection(host, int(port))
        parent.kill()
        await parent.wait()
        assert await reader.read() == b""
        writer.close()

    async def test_a_taken_port_is_named_with_what_to_do(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(EmulatorError, match=f"127.0.0.1:{port} .*choose another port"):
                async with running_emulator(tmp_path, port=port):
                    pytest.fail("it must not start")

    async def test_a_given_free_port_is_used(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        async with running_emulator(tmp_path, port=port) as emulator:
            assert emulator.endpoint == f"http://127.0.0.1:{port}"

    async def test_without_its_environment_the_error_says_how_to_get_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(emulators, "_PYTHON", tmp_path / "missing")
        with pytest.raises(EmulatorError, match=r"make \.venv-emulator/\.ready"):
            async with running_emulator(tmp_path):
                pytest.fail("it must not start")

    async def test_when_it_stops_at_once_the_error_shows_the_end_of_its_log(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = tmp_path / "broken.py"
        broken.write_text("raise SystemExit('no emulator today')")
        monkeypatch.setattr(emulators, "_PROCESS", broken)
        with pytest.raises(EmulatorError, match=r"(?s)exit code 1.*no emulator today"):
            async with running_emulator(tmp_path / "state"):
                pytest.fail("it must not start")

    async def test_one_that_never_answers_is_given_up_and_killed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deaf = tmp_path / "deaf.py"
        deaf.write_text(
            "import os, signal\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "print('pid', os.getpid(), flush=True)\n"
            "signal.pause()\n"
        )
        monkeypatch.setattr(emulators, "_PROCESS", deaf)
        monkeypatch.setattr(emulators, "_SECONDS_TO_START", 1)
        monkeypatch.setattr(emulators, "_SECONDS_TO_STOP", 0.1)
        with pytest.raises(EmulatorError, match="did not answer within 1 s") as caught:
            async with running_emulator(tmp_path / "state"):
                pytest.fail("it must not start")
        pid = int(str(caught.value).rsplit("pid ", 1)[1])
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIG_DFL)


class TestAsynchronousInvocations:
    """What MiniStack lacks, seen through EventBridge and SNS."""

    async def test_a_burst_beyond_the_concurrency_of_the_function_loses_nothing(self, tmp_path: Path) -> None:
        async with _stage(tmp_path, concurrency=1, nap=0.02) as stage:
            await stage.publish(*(f"event {number}" for number in range(20)))
            assert await stage.answers(20) == {f"event {number}" for number in range(20)}
            assert await stage.dead() == []

    async def test_an_event_that_the_function_keeps_failing_at_ends_in_its_on_failure_queue(
        self, tmp_path: Path
    ) -> None:
        async with _stage(tmp_path, concurrency=2) as stage:
            await stage.publish("fail", "works")
            assert await stage.answers(1) == {"works"}
            (dead,) = await stage.dead(wait=20)
            assert dead["requestPayload"]["detail"] == {"text": "fail"}
            assert dead["responsePayload"]["errorMessage"] == "asked to fail"

    async def test_the_topic_invokes_through_the_same_queue(self, tmp_path: Path) -> None:
        async with _stage(tmp_path, concurrency=1) as stage:
            await stage.notify("from the topic", "fail")
            assert await stage.answers(1) == {"from the topic"}
            (dead,) = await stage.dead(wait=20)
            assert dead["requestPayload"]["Records"][0]["Sns"]["Message"] == "fail"

    async def test_functions_get_what_differs_on_this_machine_from_outside_the_stack(
        self, tmp_path: Path
    ) -> None:
        async with _stage(tmp_path, concurrency=1) as stage:
            await stage.publish("event")
            await stage.answers(1)
            assert stage.seen_from_outside == {"yes"}


class TestRestarts:
    async def test_what_was_accepted_before_a_restart_is_worked_on_after_it(self, tmp_path: Path) -> None:
        async with _stage(tmp_path, concurrency=1, nap=0.2, keeps_state=True) as stage:
            await stage.publish(*(f"event {number}" for number in range(10)), "fail")
            await stage.emulator.restart()
            assert await stage.answers(10) == {f"event {number}" for number in range(10)}
            (dead,) = await stage.dead(wait=20)
            assert dead["requestPayload"]["detail"] == {"text": "fail"}


class _Stage:
    """A function behind a rule and a topic, with a queue for its answers and one for its failures."""

    def __init__(
        self, emulator: Emulator, clients: dict[str, Any], answers: str, dead: str, topic: str
    ) -> None:
        self.emulator = emulator
        self._clients = clients
        self._answers = answers
        self._dead = dead
        self._topic = topic
        self.seen_from_outside: set[str | None] = set()

    async def publish(self, *texts: str) -> None:
        for text in texts:
            entry = {"Source": "test", "DetailType": "Test", "Detail": json.dumps({"text": text})}
            assert (await self._clients["events"].put_events(Entries=[entry]))["FailedEntryCount"] == 0

    async def notify(self, *texts: str) -> None:
        for text in texts:
            await self._clients["sns"].publish(TopicArn=self._topic, Message=text)

    async def answers(self, count: int) -> set[str]:
        """The texts of the first `count` events that were answered."""
        texts: set[str] = set()
        while len(texts) < count:
            received = await self._receive(self._answers, wait=20)
            assert received, f"only {sorted(texts)} were answered"
            for text, outside in received:
                event = json.loads(text)
                texts.add(
                    event["detail"]["text"] if "detail" in event else event["Records"][0]["Sns"]["Message"]
                )
                self.seen_from_outside.add(outside)
        return texts

    async def dead(self, wait: int = 0) -> list[Any]:
        return await self._receive(self._dead, wait=wait)

    async def _receive(self, queue: str, wait: int) -> list[Any]:
        sqs = self._clients["sqs"]
        answer = await sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        messages = answer.get("Messages", [])
        for message in messages:
            await sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]


@asynccontextmanager
async def _stage(
    folder: Path, *, concurrency: int, nap: float = 0, keeps_state: bool = False
) -> AsyncIterator[_Stage]:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("function.py", _FUNCTION)
    async with running_emulator(
        folder,
        async_retry_seconds=0.01,
        functions_environment={"FROM_OUTSIDE": "yes"},
        keeps_state=keeps_state,
    ) as emulator:
        session = aioboto3.Session("test", "test", region_name=emulator.region)
        # Clients by name only: the services here are more than the project has types for.
        make: Any = session.client
        async with (
            make("sqs", endpoint_url=emulator.endpoint) as sqs,
            make("sns", endpoint_url=emulator.endpoint) as sns,
            make("events", endpoint_url=emulator.endpoint) as events,
            make("lambda", endpoint_url=emulator.endpoint) as functions,
        ):
            answers = (await sqs.create_queue(QueueName="answers"))["QueueUrl"]
            dead = (await sqs.create_queue(QueueName="dead"))["QueueUrl"]
            topic = (await sns.create_topic(Name="topic"))["TopicArn"]
            await functions.create_function(
                FunctionName="function",
                Runtime="python3.13",
                Handler="function.handler",
                Role="arn:aws:iam::000000000000:role/any",
                Code={"ZipFile": zipped.getvalue()},
                Environment={"Variables": {"ANSWERS": answers, "NAP": str(nap)}},
                Publish=True,
            )
            await functions.create_alias(FunctionName="function", Name="live", FunctionVersion="1")
            await functions.put_function_concurrency(
                FunctionName="function", ReservedConcurrentExecutions=concurrency
            )
            await functions.put_function_event_invoke_config(
                FunctionName="function",
                Qualifier="live",
                MaximumRetryAttempts=2,
                DestinationConfig={
                    "OnFailure": {"Destination": f"arn:aws:sqs:{emulator.region}:000000000000:dead"}
                },
            )
            alias = f"arn:aws:lambda:{emulator.region}:000000000000:function:function:live"
            await events.put_rule(Name="rule", EventPattern='{"source": ["test"]}')
            await events.put_targets(Rule="rule", Targets=[{"Id": "function", "Arn": alias}])
            await sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=alias)
            clients = {"sqs": sqs, "sns": sns, "events": events}
            yield _Stage(emulator, clients, answers, dead, topic)


async def test_the_one_address_that_a_command_is_given_reaches_the_simulator_as_ses(tmp_path: Path) -> None:
    with ThreadedSimulator(Account(max_send_rate=77)) as ses:
        functions = {"AWS_ENDPOINT_URL_SESV2": ses.url}
        async with (
            running_emulator(tmp_path, region="eu-west-1", functions_environment=functions) as emulator,
            connect(StackAddress(region="eu-west-1", endpoint_url=emulator.endpoint)) as stack,
        ):
            account = await (await stack.client("sesv2")).get_account()
            assert account["SendQuota"]["MaxSendRate"] == 77
            with pytest.raises(ClientError, match="BadRequestException"):
                await (await stack.client("sesv2")).send_email(Content={"Raw": {"Data": b""}})
