"""The distribution package from its zip: what a customer runs, against the emulator.

The emulator runs every function with its own Python on this machine, and can't import the arm64 wheels for
python3.13 that the real package carries. So the package here is built by the same code with the target
"local", which changes the wheels inside the functions' zips and nothing else; that the real ones are for
Lambda is checked in tests/test_package.py.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aioboto3
import pytest
from botocore.exceptions import ClientError

from engine.local.emulator import Emulator, running_emulator
from engine.local.ses.account import Account
from engine.local.ses.server import serve
from engine.local.ses.simulator import Simulator
from infra import bundling
from infra.package import build_package

pytestmark = pytest.mark.e2e

ACCOUNT = "000000000000"
BUCKET = f"shop-mail-templates-{ACCOUNT}"
WELCOME = "templates/welcome/template.txt"
SENDER = "hello@shop.example"


@dataclass(frozen=True)
class Customer:
    """Somebody with an account, a shell and an SES that records."""

    emulator: Emulator
    ses: Simulator
    accepted: asyncio.Event
    clients: AsyncExitStack

    async def client(self, service: str) -> Any:
        make: Any = aioboto3.Session("test", "test", region_name=self.emulator.region).client
        return await self.clients.enter_async_context(make(service, endpoint_url=self.emulator.endpoint))

    async def run(self, package: Path, *arguments: str) -> tuple[int, str]:
        """`python install.py` in the unpacked package; exit code, and what was said."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "install.py",
            *("--stack-name", "shop-mail", "--yes", *arguments),
            cwd=package,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**self.emulator.environment, "PATH": os.environ["PATH"], "HOME": str(package)},
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    async def must(self, package: Path, *arguments: str) -> str:
        code, said = await self.run(package, *arguments)
        assert code == 0, said
        return said

    @staticmethod
    def unwrapped(said: str) -> str:
        return " ".join(said.split())

    async def text(self, key: str) -> str:
        s3 = await self.client("s3")
        body: bytes = await (await s3.get_object(Bucket=BUCKET, Key=key))["Body"].read()
        return body.decode()

    async def log_level(self) -> str:
        """Of the version that the alias points at."""
        functions = await self.client("lambda")
        sender = await functions.get_function_configuration(
            FunctionName="shop-mail-EmailSender", Qualifier="live"
        )
        level: str = sender["Environment"]["Variables"]["LOG_LEVEL"]
        return level

    async def stack_is_there(self) -> bool:
        cloud_formation = await self.client("cloudformation")
        try:
            (stack,) = (await cloud_formation.describe_stacks(StackName="shop-mail"))["Stacks"]
        except ClientError:
            return False
        return bool(stack["StackStatus"] != "DELETE_COMPLETE")

    async def follow_the_printed_command(self, said: str) -> None:
        (command,) = re.findall(r"aws events put-events .*", said)
        words = shlex.split(command)
        events = await self.client("events")
        answer = await events.put_events(Entries=json.loads(words[words.index("--entries") + 1]))
        assert answer["FailedEntryCount"] == 0
        async with asyncio.timeout(60):
            await self.accepted.wait()


@asynccontextmanager
async def _customer(folder: Path) -> AsyncIterator[Customer]:
    accepted = asyncio.Event()

    async def publish(_: str) -> None:
        accepted.set()

    simulator = Simulator(Account(identities=frozenset({"shop.example"})), publish=publish)
    async with serve(simulator) as url, AsyncExitStack() as clients:
        emulator = await clients.enter_async_context(
            running_emulator(folder, functions_environment={"AWS_ENDPOINT_URL_SESV2": url})
        )
        yield Customer(emulator, simulator, accepted, clients)


@pytest.fixture
async def customer(tmp_path: Path) -> AsyncIterator[Customer]:
    async with _customer(tmp_path / "emulator") as customer:
        yield customer


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Packages of this tree by name: each name is a release of its own, with other code."""
    folder = tmp_path_factory.mktemp("packages")

    def unpack(name: str) -> Path:
        if not (folder / name).exists():
            engine = folder / f"engine-{name}"
            shutil.copytree(bundling._ENGINE, engine, ignore=shutil.ignore_patterns("__pycache__"))
            (engine / "release.py").write_text(f"NAME = {name!r}\n")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(bundling, "_ENGINE", engine)
                built = build_package(folder, target="local")
            zipfile.ZipFile(built).extractall(folder / name)
        return folder / name

    return unpack


async def test_a_customer_installs_sends_upgrades_uninstalls_and_comes_back_to_what_was_there(
    customer: Customer, unpacked: Callable[[str], Path]
) -> None:
    first, second = unpacked("first"), unpacked("second")
    s3, dynamodb = await customer.client("s3"), await customer.client("dynamodb")

    said = await customer.must(first, "--sender", SENDER, "--parameter", "LogLevel=WARNING")
    starters = sorted(path.name for path in (bundling.ROOT / "starter_templates").iterdir() if path.is_dir())
    assert f"in your bucket as delivered: {', '.join(starters)}" in customer.unwrapped(said)
    await customer.follow_the_printed_command(said)
    (message,) = customer.ses.messages
    assert message.to == ("success@simulator.amazonses.com",)

    await s3.put_object(Bucket=BUCKET, Key=WELCOME, Body=b"my own")
    said = await customer.must(second, "--upgrade", "--dry-run")
    assert "EmailSender" in said
    assert "Nothing was changed" in said
    said = await customer.must(second, "--upgrade")
    assert "changed by you, and so left alone: welcome" in said
    assert await customer.text(WELCOME) == "my own"
    assert await customer.log_level() == "WARNING"
    said = await customer.must(second, "--upgrade")
    assert "Nothing to change" in said
    await customer.must(second, "--upgrade", "--parameter", "LogLevel=DEBUG")
    assert await customer.log_level() == "DEBUG"

    said = await customer.must(second, "--uninstall")
    assert f"stays:    bucket {BUCKET}" in said
    assert not await customer.stack_is_there()
    assert await customer.text(WELCOME) == "my own"
    assert (await dynamodb.scan(TableName="shop-mail-EmailTracking"))["Count"] == 1
    buckets = {bucket["Name"] for bucket in (await s3.list_buckets())["Buckets"]}
    assert buckets == {BUCKET}

    said = await customer.must(second, "--sender", SENDER)
    assert "The new stack takes it over" in said
    assert "is not recorded beside it" not in said
    assert "changed by you, and so left alone: welcome" in said
    assert (await dynamodb.scan(TableName="shop-mail-EmailTracking"))["Count"] == 1
    customer.accepted.clear()
    await customer.follow_the_printed_command(said)

    await customer.must(second, "--uninstall", "--delete-data")
    assert (await s3.list_buckets())["Buckets"] == []
    assert (await dynamodb.list_tables())["TableNames"] == []


async def test_a_dry_run_changes_nothing_and_a_failed_preflight_says_what_to_do(
    customer: Customer, unpacked: Callable[[str], Path]
) -> None:
    package = unpacked("first")
    said = await customer.must(package, "--sender", SENDER, "--dry-run")
    assert "create the stack shop-mail" in said
    assert not await customer.stack_is_there()
    assert (await (await customer.client("s3")).list_buckets())["Buckets"] == []

    code, said = await customer.run(package, "--sender", "hello@elsewhere.example")
    assert code == 1
    assert "neither the address nor elsewhere.example is verified" in customer.unwrapped(said)
    assert "Traceback" not in said

    code, said = await customer.run(package, "--upgrade")
    assert code == 1
    assert "There is no stack shop-mail in us-east-1" in said
