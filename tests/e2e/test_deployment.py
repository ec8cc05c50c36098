"""The whole stack on the emulator, by a real `cdk deploy`."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aioboto3
import pytest

from engine.local import deployment
from engine.local.cdk import CdkError
from engine.local.deployment import Deployment, deploy, feedback_topic_arn, synthesize
from engine.local.emulator import PROJECT, Emulator, running_emulator

pytestmark = pytest.mark.e2e

ASSEMBLIES = PROJECT / ".local" / "assemblies"


class Stack:
    """The deployed stack and clients to look at it."""

    def __init__(self, emulator: Emulator, outputs: Deployment, clients: AsyncExitStack) -> None:
        self.emulator = emulator
        self.outputs = outputs
        self._clients = clients

    async def client(self, service: str) -> Any:
        session = aioboto3.Session("test", "test", region_name=self.emulator.region)
        make: Any = session.client
        return await self._clients.enter_async_context(make(service, endpoint_url=self.emulator.endpoint))


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    assembly = await synthesize(ASSEMBLIES)
    async with running_emulator(tmp_path / "emulator") as emulator, AsyncExitStack() as clients:
        yield Stack(emulator, await deploy(emulator, assembly), clients)


async def test_the_loop_has_everything_it_needs(stack: Stack) -> None:
    outputs = stack.outputs
    assert outputs.event_bus_name == "sesmailengine-EmailBus"
    assert outputs.template_bucket == "sesmailengine-templates-000000000000"
    assert outputs.feedback_topic_arn == feedback_topic_arn(stack.emulator.region)

    s3 = await stack.client("s3")
    seeded = {
        found["Key"] for found in (await s3.list_objects_v2(Bucket=outputs.template_bucket))["Contents"]
    }
    ours = PROJECT / "starter_templates"
    assert seeded == {f"templates/{path.relative_to(ours).as_posix()}" for path in _files(ours)}

    dynamodb = await stack.client("dynamodb")
    tables = {outputs.tracking_table, outputs.suppression_table, outputs.state_table}
    assert tables <= set((await dynamodb.list_tables())["TableNames"])

    functions = await stack.client("lambda")
    mappings = (await functions.list_event_source_mappings())["EventSourceMappings"]
    assert {mapping["FunctionArn"].rpartition(":")[2] for mapping in mappings} == {"live"}
    assert {mapping["EventSourceArn"].rpartition("-")[2] for mapping in mappings} == {
        "BulkEmailQueue",
        "EmailRetryQueue",
    }

    # SES checks the topic's policy when the destination is made, so that it is there says that both fit.
    ses = await stack.client("sesv2")
    destinations = await ses.get_configuration_set_event_destinations(
        ConfigurationSetName=outputs.configuration_set_name
    )
    assert [destination["SnsDestination"] for destination in destinations["EventDestinations"]] == [
        {"TopicArn": outputs.feedback_topic_arn}
    ]


async def test_a_changed_customer_template_survives_the_seeder(stack: Stack) -> None:
    s3 = await stack.client("s3")
    functions = await stack.client("lambda")
    bucket = stack.outputs.template_bucket
    await s3.put_object(Bucket=bucket, Key="templates/welcome/template.txt", Body=b"my own")
    answer = await functions.invoke(FunctionName="sesmailengine-TemplateSeeder", Qualifier="live")
    assert json.loads(await answer["Payload"].read())["kept"] == ["welcome"]
    kept = await s3.get_object(Bucket=bucket, Key="templates/welcome/template.txt")
    assert await kept["Body"].read() == b"my own"


async def test_a_changed_parameter_is_at_work_in_the_version_that_callers_reach(stack: Stack) -> None:
    functions = await stack.client("lambda")

    async def live() -> tuple[str, dict[str, str]]:
        found = await functions.get_function_configuration(
            FunctionName=stack.outputs.email_sender_function, Qualifier="live"
        )
        return found["Version"], found["Environment"]["Variables"]

    version, variables = await live()
    assert variables["BOUNCE_RATE_THRESHOLD"] in {"5", "5.0"}
    await _update(await stack.client("cloudformation"), BounceRateThreshold="2.5")
    changed, variables = await live()
    assert variables["BOUNCE_RATE_THRESHOLD"] == "2.5"
    assert changed != version
    # And again without a change to the function: Lambda would refuse another version of the same.
    await _update(await stack.client("cloudformation"), SenderConcurrency="20")
    assert await live() == (changed, variables)


async def _update(cloud_formation: Any, **parameters: str) -> None:
    (found,) = (await cloud_formation.describe_stacks(StackName=deployment.STACK_NAME))["Stacks"]
    kept = {known["ParameterKey"] for known in found["Parameters"]} - parameters.keys()
    await cloud_formation.update_stack(
        StackName=deployment.STACK_NAME,
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[
            *({"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()),
            *({"ParameterKey": name, "UsePreviousValue": True} for name in kept),
        ],
    )
    done = cloud_formation.get_waiter("stack_update_complete")
    await done.wait(StackName=deployment.STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


class TestSynthesis:
    async def test_an_unchanged_tree_is_not_synthesized_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assembly = await synthesize(ASSEMBLIES)

        async def must_not_run(*_: Any, **__: Any) -> None:
            pytest.fail("nothing has changed")

        monkeypatch.setattr(deployment, "cdk", must_not_run)
        assert await synthesize(ASSEMBLIES) == assembly

    async def test_other_settings_are_another_assembly(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commands: list[tuple[str, ...]] = []

        async def pretend(*command: str, **_: Any) -> None:
            commands.append(command)
            _make_folder(command[command.index("--output") + 1])

        monkeypatch.setattr(deployment, "cdk", pretend)
        made = {await synthesize(tmp_path, {"sesMaxSendRate": str(rate)}) for rate in range(5)}
        assert len(made) == 5
        assert len(_folders(tmp_path)) == 3  # the newest
        assert "sesMaxSendRate=4" in commands[-1]

    async def test_a_bad_setting_is_named_with_what_was_expected(self, tmp_path: Path) -> None:
        with pytest.raises(CdkError, match=r"defaultSenderEmail: .*got 'nobody'"):
            await synthesize(tmp_path, {"defaultSenderEmail": "nobody"})
        assert _folders(tmp_path) == []


async def test_a_failed_deployment_says_which_resource_and_why(tmp_path: Path) -> None:
    assembly = _copied(await synthesize(ASSEMBLIES), tmp_path / "assembly")
    _edit(assembly / "SESMailEngine.template.json", '"TEMPLATE_BUCKET"', '"ANOTHER_NAME"')
    async with running_emulator(tmp_path / "emulator") as emulator:
        with pytest.raises(
            CdkError, match=r"(?s)`cdk deploy` failed.*StarterTemplates.*KeyError: 'TEMPLATE_BUCKET'"
        ):
            await deploy(emulator, assembly)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _folders(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("assembly-*")]


def _make_folder(path: str) -> None:
    Path(path).mkdir()


def _copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
