"""The Lambda zips: the same bytes from the same input, and in them what a function needs and nothing else."""

import filecmp
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from infra import bundling, pruning


@pytest.fixture(scope="module", autouse=True)
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the engine that nobody edits while the tests run."""
    copy = tmp_path_factory.mktemp("tree") / "engine"
    shutil.copytree(bundling._ENGINE, copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundling, "_ENGINE", copy)
        yield copy


@pytest.fixture(scope="module")
def local_zip(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert engine.is_dir()
    return bundling.engine_zip("local", build=tmp_path_factory.mktemp("first"))


def test_two_builds_of_one_tree_are_the_same_byte_for_byte(local_zip: Path, tmp_path: Path) -> None:
    again = bundling.engine_zip("local", build=tmp_path)
    assert again.name == local_zip.name
    first, second = zipfile.ZipFile(local_zip), zipfile.ZipFile(again)
    assert first.namelist() == second.namelist()
    assert not [name for name in first.namelist() if first.read(name) != second.read(name)]
    assert filecmp.cmp(local_zip, again, shallow=False)


def test_a_second_build_takes_what_is_there(local_zip: Path) -> None:
    before = local_zip.stat().st_mtime_ns
    assert bundling.engine_zip("local", build=local_zip.parent) == local_zip
    assert local_zip.stat().st_mtime_ns == before


def test_a_changed_engine_replaces_the_zip_and_keeps_the_dependencies(
    local_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "changed.py").write_text("changed = True\n")
    monkeypatch.setattr(bundling, "_ENGINE", tmp_path)
    (dependencies,) = local_zip.parent.glob("dependencies-*.zip")
    made = dependencies.stat().st_mtime_ns

    changed = bundling.engine_zip("local", build=local_zip.parent)

    assert changed != local_zip
    names = zipfile.ZipFile(changed).namelist()
    assert [name for name in names if name.startswith("engine/")] == ["engine/changed.py"]
    assert list(local_zip.parent.glob("dependencies-*.zip")) == [dependencies]
    assert dependencies.stat().st_mtime_ns == made


def test_the_zip_holds_the_engine_without_what_only_a_developer_runs(local_zip: Path) -> None:
    names = zipfile.ZipFile(local_zip).namelist()
    assert len(names) == len(set(names))
    ours = [name for name in names if name.startswith("engine/")]
    assert "engine/schemas/request.py" in ours
    not_deployed = ("authoring", "cli", "client", "local", "operations")
    assert not [name for name in ours if name.split("/")[1] in not_deployed]


def test_the_sdk_is_pruned_to_the_services_that_the_engine_calls(local_zip: Path) -> None:
    names = zipfile.ZipFile(local_zip).namelist()
    data = [name.removeprefix("botocore/data/") for name in names if name.startswith("botocore/data/")]
    services = {name.partition("/")[0] for name in data if "/" in name}
    assert services == {"dynamodb", "events", "s3", "secretsmanager", "sesv2", "sqs"}
    assert "endpoints.json" in data


def test_the_operations_in_the_zip_are_those_that_the_code_calls() -> None:
    called = {
        name
        for room in ("aws", "bootstrap")
        for file in (bundling.ROOT / "src/engine" / room).glob("*.py")
        for name in re.findall(r"\b_?client\.([a-z_]+)\(", file.read_text())
    } - {"close"}  # the client's own
    kept = {xform_name(name) for names in pruning.CALLED.values() for name in names.partition(";")[0].split()}
    assert called == kept


@pytest.fixture(scope="module")
def loaders(local_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Loader, Loader]:
    """Of botocore's whole data, and of that in the zip."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    zipfile.ZipFile(local_zip).extractall(unpacked)
    data = str(unpacked / "botocore" / "data")
    return Loader(), Loader(extra_search_paths=[data], include_default_search_paths=False)


@pytest.mark.parametrize("service", pruning.CALLED)
def test_the_sdk_in_the_zip_describes_what_is_called_as_the_whole_one_does(
    loaders: tuple[Loader, Loader], service: str
) -> None:
    whole, pruned = (loader.load_service_model(service, "service-2") for loader in loaders)
    called = pruning.CALLED[service].replace(";", "").split()
    assert pruned["operations"] == {name: whole["operations"][name] for name in called}
    assert pruned["shapes"] == {name: whole["shapes"][name] for name in pruned["shapes"]}
    assert set(pruned["shapes"]) == set(re.findall(r'"shape": "(\w+)"', json.dumps(pruned)))
    assert pruned["metadata"] == whole["metadata"]


def test_the_sdk_in_the_zip_knows_the_endpoints_of_our_services_in_every_region(
    loaders: tuple[Loader, Loader],
) -> None:
    whole, pruned = (EndpointResolver(loader.load_data("endpoints")) for loader in loaders)
    assert pruned.get_available_partitions() == whole.get_available_partitions()
    for partition in whole.get_available_partitions():
        for service in ("dynamodb", "email", "events", "s3", "sqs", "sts"):
            regions = whole.get_available_endpoints(service, partition)
            assert pruned.get_available_endpoints(service, partition) == regions
            for region in regions:
                assert pruned.construct_endpoint(service, region) == whole.construct_endpoint(service, region)


def test_nothing_in_the_zip_tells_where_it_was_built(local_zip: Path) -> None:
    archive = zipfile.ZipFile(local_zip)
    marks = (str(local_zip.parent).encode(), str(bundling.ROOT).encode())
    assert not [name for name in archive.namelist() if any(mark in archive.read(name) for mark in marks)]
    assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("function", ["email_sender", "feedback_processor"])
def test_a_function_starts_from_the_zip_alone(local_zip: Path, tmp_path: Path, function: str) -> None:
    """With the clients that it needs, as Lambda initialises it."""
    zipfile.ZipFile(local_zip).extractall(tmp_path)
    program = """
import json, sys
sys.path.insert(0, sys.argv[1])
import importlib
from engine.aws.clients import Clients
opened = []
open_client = Clients.open
async def open_and_note(self, service, *config):
    client = await open_client(self, service, *config)
    opened.append(service)
    return client
Clients.open = open_and_note
importlib.import_module(f"engine.handlers.{sys.argv[2]}")
ours = [module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]
print(json.dumps([opened, [file for file in ours if "site-packages" in file]]))
"""
    isolated = (sys.executable, "-I", "-S", "-c", program, str(tmp_path), function)
    variables = {
        **dict.fromkeys(("TRACKING_TABLE", "SUPPRESSION_TABLE", "STATE_TABLE"), "test"),
        **dict.fromkeys(("TEMPLATE_BUCKET", "EVENT_BUS_NAME", "SES_CONFIGURATION_SET"), "test"),
        "RETRY_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/test-EmailRetryQueue",
        "DEFAULT_SENDER_EMAIL": "no-reply@shop.example",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    said = subprocess.run(isolated, env=variables, check=True, capture_output=True, text=True).stdout  # noqa: S603 -- our own program
    opened, from_elsewhere = json.loads(said)
    assert (
        set(opened)
        == {
            "email_sender": {"dynamodb", "events", "s3", "sesv2", "sqs"},
            "feedback_processor": {"dynamodb", "events", "sqs"},
        }[function]
    )
    assert not from_elsewhere


def test_the_zip_for_lambda_holds_arm_modules_and_stays_small() -> None:
    path = bundling.engine_zip("lambda")
    libraries = [name for name in zipfile.ZipFile(path).namelist() if name.endswith(".so")]
    assert libraries
    assert all("aarch64" in name for name in libraries)
    assert path.stat().st_size < 8 * 1024 * 1024


def test_a_failed_installation_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = tmp_path / "lambda.txt"
    requirements.write_text("msgspec==0.22.0 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setattr(bundling, "_REQUIREMENTS", requirements)
    with pytest.raises(RuntimeError, match=r"(?s)dependencies failed.*[Hh]ash"):
        bundling.engine_zip("local", build=tmp_path / "build")
    assert not list((tmp_path / "build").glob("*"))


def test_the_seeder_is_its_handler_and_the_starter_templates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = tmp_path / "starters" / "welcome" / "template.txt"
    template.parent.mkdir(parents=True)
    template.write_text("Welcome")
    monkeypatch.setattr(bundling, "_STARTER_TEMPLATES", tmp_path / "starters")
    before = bundling.starter_templates_digest()
    path = bundling.seeder_zip(build=tmp_path / "build")
    assert zipfile.ZipFile(path).namelist() == [
        "engine/__init__.py",
        "engine/handlers/__init__.py",
        "engine/handlers/template_seeder.py",
        "starter_templates/welcome/template.txt",
    ]
    template.write_text("Welcome!")
    assert bundling.starter_templates_digest() != before
    assert bundling.seeder_zip(build=tmp_path / "build") != path
