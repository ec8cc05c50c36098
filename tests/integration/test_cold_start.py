"""What happens before the first invocation, and what a cold start leaves out."""

import asyncio
import gc
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.loaders
import pytest
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore import handlers, xform_name
from botocore.exceptions import UnknownServiceError
from botocore.httpsession import get_cert_path
from botocore.model import ServiceModel
from botocore.regions import EndpointResolver

from engine.aws.connections import SharedTrustSession, trust
from engine.aws.sdk_session import quick_session
from engine.aws.service_models import OPERATIONS, QuickFileLoader, quick_loader
from engine.bootstrap.cold_start import quick_imports
from engine.bootstrap.runtime import CONFIG, SES_CONFIG, Clients, Environment, begin_to_trust


@pytest.fixture
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    yield
    gc.unfreeze()


class Work:
    async def close(self) -> None: ...


class Opener:
    """Opens work, or raises as often as it is told."""

    def __init__(self, *problems: Exception) -> None:
        self.problems = list(problems)
        self.opened = 0

    async def __call__(self, variables: Mapping[str, str]) -> Work:  # noqa: ARG002 - every environment asks so
        if self.problems:
            raise self.problems.pop(0)
        self.opened += 1
        return Work()


async def nothing(_: Work) -> str:
    return "done"


@pytest.mark.usefixtures("in_lambda")
def test_in_lambda_everything_is_open_before_the_first_invocation() -> None:
    opener = Opener()
    environment = Environment(opener)
    environment.prepare()
    assert opener.opened == 1
    assert environment.invoke(nothing) == "done"
    assert opener.opened == 1
    environment.close()


@pytest.mark.usefixtures("in_lambda")
def test_what_fails_while_lambda_initialises_is_told_by_the_first_invocation() -> None:
    environment = Environment(Opener(ValueError("early"), ValueError("told")))
    environment.prepare()
    with pytest.raises(ValueError, match="told"):
        environment.invoke(nothing)
    assert environment.invoke(nothing) == "done"
    environment.close()


def test_outside_lambda_nothing_is_opened_before_it_is_needed() -> None:
    opener = Opener()
    Environment(opener).prepare()
    assert not opener.opened


def test_opening_the_clients_opens_no_socket_that_a_snapshot_would_carry_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.socket.connect", _no_connection)

    async def opened() -> None:
        clients = Clients()
        for service in OPERATIONS:
            await clients.open(service, CONFIG)
        await clients.close()

    asyncio.run(opened())


def test_a_client_trusts_before_it_can_make_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificates are read beside the first client, and nobody may find them half read."""
    read: list[str] = []
    monkeypatch.setattr("engine.bootstrap.runtime.trust", lambda: read.append("certificates"))
    begin_to_trust.cache_clear()

    async def opened() -> None:
        clients = Clients()
        await clients.open("dynamodb", CONFIG)
        assert read == ["certificates"]
        await clients.close()

    asyncio.run(opened())
    begin_to_trust.cache_clear()


def _no_connection(*_: object) -> None:
    raise AssertionError("a socket was opened")


def test_a_process_that_ends_waits_for_the_certificates_that_are_being_read() -> None:
    code = """
import threading
from engine.bootstrap import runtime

ends = threading.Event()
runtime.trust = lambda: (ends.wait(), print("read"))
runtime.begin_to_trust()
threading._register_atexit(ends.set)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - this interpreter, fixed arguments
    assert ended.stdout == "read\n"


def test_all_clients_trust_by_one_context_the_same_as_a_client_of_its_own_would() -> None:
    async def connectors() -> list[Any]:
        made = [SharedTrustSession(verify=True)._create_connector(None) for _ in range(2)]
        usual: Any = AIOHTTPSession  # its stub knows nothing of connectors
        made.append(usual(verify=True)._create_connector(None))
        for one in made:
            await one.close()
        return [one._ssl for one in made]

    one, other, usual = asyncio.run(connectors())
    assert one is other is trust()
    assert one is not usual
    assert one.cert_store_stats() == usual.cert_store_stats()
    assert (one.verify_mode, one.check_hostname) == (usual.verify_mode, usual.check_hostname)


def test_a_client_with_certificates_of_its_own_gets_a_context_of_its_own() -> None:
    async def context(verify: object) -> Any:
        connector = SharedTrustSession(verify=verify)._create_connector(None)
        await connector.close()
        return connector._ssl

    assert asyncio.run(context(get_cert_path(verify=True))) is not trust()
    unverified = False
    assert asyncio.run(context(unverified)) is False


@pytest.mark.parametrize("config", [CONFIG, SES_CONFIG])
def test_every_client_is_made_with_the_session_that_shares_its_trust(config: Any) -> None:
    assert config.http_session_cls is SharedTrustSession


@pytest.mark.usefixtures("in_lambda")
def test_quick_imports_leave_collection_on_and_the_certificates_where_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/own.pem")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with quick_imports():
        assert not gc.isenabled()
        assert os.environ["SSL_CERT_FILE"] == os.environ["SSL_CERT_DIR"] == os.devnull
    assert gc.isenabled()
    assert os.environ["SSL_CERT_FILE"] == "/etc/ssl/own.pem"
    assert "SSL_CERT_DIR" not in os.environ


def test_quick_imports_change_nothing_outside_lambda() -> None:
    with quick_imports():
        assert gc.isenabled()
        assert "SSL_CERT_FILE" not in os.environ or os.environ["SSL_CERT_FILE"] != os.devnull


@pytest.mark.parametrize("service", OPERATIONS)
def test_the_quick_loader_reads_of_a_service_what_is_called_as_botocores_own_does(service: str) -> None:
    own = _model(botocore.loaders.create_loader(None), service)
    quick = _model(quick_loader(None), service)
    assert set(quick.operation_names) == OPERATIONS[service]
    for name in quick.operation_names:
        assert _described(quick.operation_model(name)) == _described(own.operation_model(name))
    assert {shape.name for shape in quick.error_shapes} <= {shape.name for shape in own.error_shapes}
    assert (quick.metadata, quick.client_context_parameters) == (own.metadata, own.client_context_parameters)


def _model(loader: Any, service: str) -> Any:
    return ServiceModel(loader.load_service_model(service, "service-2"))


def _described(operation: Any) -> str:
    """All of an operation, every shape within every shape; as text, so that the order counts too."""
    shapes = (operation.input_shape, operation.output_shape, *operation.error_shapes)
    return json.dumps([operation._operation_model, [_shape(shape, ()) for shape in shapes]])


def _shape(shape: Any, above: tuple[str, ...]) -> Any:
    if shape is None or shape.name in above:
        return shape and shape.name
    inner = {"list": ("member",), "map": ("key", "value")}.get(shape.type_name, ())
    within = [*(getattr(shape, name) for name in inner), *getattr(shape, "members", {}).values()]
    return [shape.name, shape._shape_model, [_shape(each, (*above, shape.name)) for each in within]]


def test_the_operations_that_are_read_are_those_that_the_code_calls() -> None:
    called = {
        name
        for file in Path("src/engine/aws").glob("*.py")
        for name in re.findall(r"\b_?client\.([a-z_]+)\(", file.read_text())
    }
    read = {xform_name(name) for names in OPERATIONS.values() for name in names}
    by_botocore = {"describe_endpoints", "create_session", "head_bucket"}
    assert called == read - by_botocore


@pytest.mark.parametrize("service", ["sts", "sso", "sso-oidc"])
def test_the_quick_loader_reads_whole_whom_credentials_may_ask(service: str) -> None:
    own, quick = botocore.loaders.create_loader(None), quick_loader(None)
    for kind in ("service-2", "endpoint-rule-set-1"):
        assert _plain(quick.load_service_model(service, kind)) == _plain(
            own.load_service_model(service, kind)
        )


def test_the_quick_loader_knows_the_endpoints_of_our_services_in_every_region() -> None:
    own, quick = (
        EndpointResolver(loader.load_data("endpoints"), uses_builtin_data=True)
        for loader in (botocore.loaders.create_loader(None), quick_loader(None))
    )
    assert quick.get_available_partitions() == own.get_available_partitions()
    for partition in own.get_available_partitions():
        for name in ("dynamodb", "email", "events", "s3", "sqs", "sts", "oidc", "portal.sso"):
            regions = own.get_available_endpoints(name, partition)
            assert quick.get_available_endpoints(name, partition) == regions
            for region in regions:
                assert quick.construct_endpoint(name, region) == own.construct_endpoint(name, region)


@pytest.mark.parametrize("service", OPERATIONS)
def test_the_quick_loader_reads_the_rest_as_botocores_own_does(service: str) -> None:
    own, quick = botocore.loaders.create_loader(None), quick_loader(None)
    rules = "endpoint-rule-set-1"
    assert _plain(quick.load_service_model(service, rules)) == _plain(own.load_service_model(service, rules))
    for name in ("partitions", "sdk-default-configuration"):
        assert _plain(quick.load_data(name)) == _plain(own.load_data(name))


def _plain(value: Any) -> str:
    """As text, so that the order counts too."""
    return json.dumps(value)


def test_the_quick_loader_finds_the_version_that_botocores_own_finds() -> None:
    own, quick = botocore.loaders.create_loader(None), quick_loader(None)
    for service in OPERATIONS:
        assert quick.determine_latest_version(service, "service-2") == own.determine_latest_version(
            service, "service-2"
        )
    with pytest.raises(UnknownServiceError):
        quick.load_service_model("no-such", "service-2")


def test_the_quick_loader_looks_first_where_aws_data_path_leads(tmp_path: Path) -> None:
    folder = tmp_path / "sqs" / "2099-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text('{"metadata": {"serviceId": "Mine"}}')
    loader = quick_loader(str(tmp_path))
    assert loader.load_service_model("sqs", "service-2")["metadata"] == {"serviceId": "Mine"}
    assert loader.load_service_model("s3", "service-2")["metadata"]["serviceId"] == "S3"


@pytest.mark.parametrize("service", ["dynamodb", "eventbridge", "s3", "sesv2", "sqs"])
def test_the_quick_session_handles_every_event_of_our_services_as_the_usual_one_does(service: str) -> None:
    quick, usual = quick_session()[1], AioSession()
    kinds = {event.partition(".")[0] for event, *_ in handlers.BUILTIN_HANDLERS} - {"docs"}
    calls = {
        event.split(".")[2]
        for event, *_ in handlers.BUILTIN_HANDLERS
        if event.count(".") >= 2 and event.split(".")[1] == service
    }
    for kind in kinds:
        for event in (kind, f"{kind}.{service}", *(f"{kind}.{service}.{call}" for call in {*calls, "Call"})):
            assert _handlers(quick, event) == _handlers(usual, event), event


def _handlers(session: Any, event: str) -> list[Any]:
    """By name where it is a bound method, which two sessions may hold for two objects."""
    return [
        getattr(handler, "__qualname__", handler)
        for handler in session.get_component("event_emitter")._emitter._handlers.prefix_search(event)
    ]


def test_a_client_of_the_quick_session_has_the_operations_of_its_service_and_no_transfer_manager() -> None:
    async def names() -> set[str]:
        async with quick_session()[0].client("s3", region_name="eu-west-1") as client:
            return {name for name in dir(client) if not name.startswith("_")}

    assert "get_object" in asyncio.run(names())
    assert "upload_file" not in asyncio.run(names())


def test_the_quick_loader_reads_a_file_that_is_not_compressed_and_knows_when_there_is_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "some.json").write_text('{"a": 1}')
    assert QuickFileLoader().load_file(str(tmp_path / "some")) == {"a": 1}
    assert QuickFileLoader().load_file(str(tmp_path / "none")) is None


@pytest.mark.parametrize("handler", ["email_sender", "feedback_processor"])
def test_a_handler_can_be_imported_in_lambda_without_any_variable_set(handler: str) -> None:
    """SettingsError belongs to the first invocation: a failing import would hide the list of variables."""
    environment = {"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "PATH": os.environ["PATH"]}
    subprocess.run(  # noqa: S603 - this interpreter, fixed arguments
        [sys.executable, "-c", f"import engine.handlers.{handler}"], env=environment, check=True, timeout=60
    )


@pytest.mark.parametrize(
    ("handler", "of_the_other"),
    [
        (
            "email_sender",
            {"engine.feedback.pipeline", "engine.feedback.bounce_policy", "engine.schemas.ses_events"},
        ),
        ("feedback_processor", {"engine.sending.pipeline", "engine.templating.template", "jinja2"}),
    ],
)
def test_a_function_imports_nothing_that_only_the_other_needs(handler: str, of_the_other: set[str]) -> None:
    code = f"import sys, engine.handlers.{handler}; print(*sys.modules)"
    imported = subprocess.run(  # noqa: S603 - this interpreter, fixed arguments
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not of_the_other.intersection(imported)
