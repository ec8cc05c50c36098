"""The Lambda zips: the same bytes from the same input, and in them what a function needs and nothing else."""

import filecmp
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.aws.service_models import OPERATIONS, quick_loader
from infra import bundling


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
    assert not [name for name in ours if name.split("/")[1] in {"authoring", "cli", "client", "local"}]


def test_the_sdk_is_pruned_to_the_services_that_the_engine_calls(local_zip: Path) -> None:
    names = zipfile.ZipFile(local_zip).namelist()
    data = [name.removeprefix("botocore/data/") for name in names if name.startswith("botocore/data/")]
    services = {name.partition("/")[0] for name in data if "/" in name}
    assert services == {"dynamodb", "events", "s3", "sesv2", "sqs"}
    assert "endpoints.json" in data


def test_the_sdk_in_the_zip_describes_what_the_engine_calls_as_the_whole_one_does(
    local_zip: Path, tmp_path: Path
) -> None:
    zipfile.ZipFile(local_zip).extractall(tmp_path)
    whole, pruned = quick_loader(None), quick_loader(None)
    pruned.search_paths[:] = [str(tmp_path / "botocore" / "data")]
    for service in OPERATIONS:
        for kind in ("service-2", "endpoint-rule-set-1"):
            assert pruned.load_service_model(service, kind) == whole.load_service_model(service, kind)
    for name in ("endpoints", "partitions", "sdk-default-configuration"):
        assert pruned.load_data(name) == whole.load_data(name)


def test_nothing_in_the_zip_tells_where_it_was_built(local_zip: Path) -> None:
    archive = zipfile.ZipFile(local_zip)
    marks = (str(local_zip.parent).encode(), str(bundling.ROOT).encode())
    assert not [name for name in archive.namelist() if any(mark in archive.read(name) for mark in marks)]
    assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_what_the_functions_import_is_importable_from_the_zip_alone(local_zip: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(local_zip).extractall(tmp_path)
    program = """
import json, sys
sys.path.insert(0, sys.argv[1])
import aioboto3, aws_lambda_powertools, email_validator, jinja2, msgspec
import engine.schemas.request
session = aioboto3.Session(region_name="us-east-1")
print(json.dumps([sorted(session.get_available_services()), aioboto3.__file__, engine.__file__]))
"""
    isolated = (sys.executable, "-I", "-S", "-c", program, str(tmp_path))
    said = subprocess.run(isolated, check=True, capture_output=True, text=True).stdout  # noqa: S603 -- our own program
    services, *files = json.loads(said)
    assert services == ["dynamodb", "events", "s3", "sesv2", "sqs"]
    assert all(Path(file).is_relative_to(tmp_path) for file in files)


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
        "engine/aws/__init__.py",
        "engine/aws/starter_templates.py",
        "engine/handlers/__init__.py",
        "engine/handlers/template_seeder.py",
        "starter_templates/welcome/template.txt",
    ]
    template.write_text("Welcome!")
    assert bundling.starter_templates_digest() != before
    assert bundling.seeder_zip(build=tmp_path / "build") != path
