"""The distribution package as customers get it: its layout, its template, its zips, its installer."""

import ast
import filecmp
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # one call; its stubs would be a dependency of their own
from aws_cdk import App
from aws_cdk.assertions import Template
from tests.support.installer_aws import ACCOUNT, STACK, FakeAccount

from infra import bundling, package
from infra.bundling import ROOT, Bundles
from infra.regions import REGIONS
from infra.settings import StackSettings
from infra.stack import EmailEngineStack
from infra.version import version
from installer.retained import find_retained

INSTALLER = ROOT / "installer"
MODULES = [*sorted(INSTALLER.glob("*.py")), *(ROOT / "src" / shared for shared in package.SHARED)]
FUNCTION_ZIPS = ("lambda/email-sender.zip", "lambda/feedback-processor.zip")
LARGEST_BODY = 51_200  # bytes of a template that is not read from S3


@pytest.fixture(scope="module", autouse=True)
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Copies of what goes in, which nobody edits while the tests run."""
    folder = tmp_path_factory.mktemp("tree")
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (bundling, "_ENGINE"),
            (bundling, "_STARTER_TEMPLATES"),
            (package, "_STARTER_TEMPLATES"),
            (package, "_DOCS"),
            (package, "_INSTALLER"),
        ):
            copy = folder / module.__name__ / name
            shutil.copytree(getattr(module, name), copy, ignore=shutil.ignore_patterns("__pycache__"))
            patch.setattr(module, name, copy)
        yield


@pytest.fixture(scope="module")
def built(tree: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert tree is None
    return package.build_package(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def unpacked(built: Path) -> Path:
    folder = built.parent / "unpacked"
    zipfile.ZipFile(built).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def template(unpacked: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((unpacked / "template.yaml").read_text())
    return read


def inner(built: Path, name: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(zipfile.ZipFile(built).read(name)))


class TestLayout:
    def test_it_is_called_after_the_version_and_laid_out_as_described(self, built: Path) -> None:
        assert built.name == f"sesmailengine-v{version()}.zip"
        names = zipfile.ZipFile(built).namelist()
        assert {name.partition("/")[0] for name in names} == {
            "lambda",
            "starter-templates",
            "template.yaml",
            "install.py",
            "installer",
            "engine",
            "requirements.txt",
            "docs",
        }
        assert [name for name in names if name.startswith("lambda/")] == [
            "lambda/email-sender.zip",
            "lambda/feedback-processor.zip",
            "lambda/template-seeder.zip",
        ]
        templates = {name.split("/")[1] for name in names if name.startswith("starter-templates/")}
        assert templates == {path.name for path in (ROOT / "starter_templates").iterdir() if path.is_dir()}
        assert {"docs/install.md", "docs/schemas/email-request.json", "docs/LICENSE"} <= set(names)

    def test_two_builds_are_the_same_byte_for_byte(self, built: Path, tmp_path: Path) -> None:
        assert filecmp.cmp(built, package.build_package(tmp_path), shallow=False)

    def test_entries_are_in_order_of_one_time_and_tell_nothing_of_where_they_were_made(
        self, built: Path
    ) -> None:
        archive = zipfile.ZipFile(built)
        assert archive.namelist() == sorted(archive.namelist())
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr for entry in archive.infolist()} == {0o644 << 16}
        marks = (str(ROOT).encode(), str(built.parent).encode())
        assert not [name for name in archive.namelist() if any(mark in archive.read(name) for mark in marks)]


class TestFunctions:
    @pytest.mark.parametrize("name", FUNCTION_ZIPS)
    def test_every_binary_module_is_for_python_3_13_on_arm64(self, built: Path, name: str) -> None:
        modules = [module for module in inner(built, name).namelist() if module.endswith(".so")]
        assert modules
        assert all(
            re.search(r"\.(cpython-313|abi3)-aarch64|\.cpython-313-aarch64", module) for module in modules
        )

    @pytest.mark.parametrize("name", FUNCTION_ZIPS)
    def test_every_wheel_is_for_python_3_13_on_arm64_or_for_any(self, built: Path, name: str) -> None:
        archive = inner(built, name)
        wheels = [entry for entry in archive.namelist() if entry.endswith(".dist-info/WHEEL")]
        assert wheels
        for wheel in wheels:
            tags = re.findall(r"^Tag: (\S+)-(\S+)-(\S+)$", archive.read(wheel).decode(), re.MULTILINE)
            assert tags, wheel
            assert any(
                platform == "any" or (platform.endswith("_aarch64") and python in {"cp313", "py3"})
                for python, _, platform in tags
            ), wheel

    @pytest.mark.parametrize(
        ("name", "handler"),
        [
            ("email-sender", "engine/handlers/email_sender.py"),
            ("feedback-processor", "engine/handlers/feedback_processor.py"),
            ("template-seeder", "engine/handlers/template_seeder.py"),
        ],
    )
    def test_each_zip_has_its_handler(self, built: Path, name: str, handler: str) -> None:
        assert handler in inner(built, f"lambda/{name}.zip").namelist()

    def test_each_function_takes_its_code_from_the_bucket_that_a_parameter_names(
        self, template: dict[str, Any]
    ) -> None:
        code = {
            found["Properties"]["Handler"].split(".")[2]: found["Properties"]["Code"]
            for found in template["Resources"].values()
            if found["Type"] == "AWS::Lambda::Function"
        }
        assert code == {
            name: {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Ref": f"{parameter}CodeKey"}}
            for name, parameter in {
                "email_sender": "EmailSender",
                "feedback_processor": "FeedbackProcessor",
                "template_seeder": "TemplateSeeder",
                "unsubscribe": "EmailSender",
                "webhook": "EmailSender",
            }.items()
        }

    def test_new_code_publishes_new_versions_of_the_functions_that_it_is_for_and_of_no_other(
        self, template: dict[str, Any], tmp_path: Path
    ) -> None:
        bundles = Bundles.build("lambda")
        changed = tmp_path / "engine.zip"
        changed.write_bytes(b"another engine")
        other = package.package_template(
            Bundles(engine=changed, seeder=bundles.seeder, templates_digest=bundles.templates_digest)
        )
        before, after = _versions(template), _versions(other)
        assert {name for name in before if before[name] != after[name]} == {
            "EmailSender",
            "FeedbackProcessor",
            "SignedWebhooks",
            "Unsubscribe",
        }


class TestTemplate:
    def test_it_needs_nothing_of_cdk(self, template: dict[str, Any]) -> None:
        text = json.dumps(template)
        assert "Rules" not in template
        assert not [mark for mark in ("BootstrapVersion", "cdk-hnb659fds", "cdk-bootstrap") if mark in text]

    def test_it_is_the_stack_of_cdk_deploy_but_for_where_the_code_is(self, template: dict[str, Any]) -> None:
        app = App(context=json.loads((ROOT / "cdk.json").read_text())["context"])
        deployed = EmailEngineStack(
            app, "SESMailEngine", settings=StackSettings(), bundles=Bundles.build("lambda")
        )
        resources = Template.from_stack(deployed).to_json()["Resources"]
        assert _comparable(template["Resources"]) == _comparable(resources)

    def test_cfn_lint_finds_no_error(self, unpacked: Path) -> None:
        cfn_lint = Path(sys.executable).with_name("cfn-lint")
        command = (cfn_lint, "--non-zero-exit-code", "error", "template.yaml")
        outcome = subprocess.run(command, cwd=unpacked, check=False, capture_output=True, text=True)  # noqa: S603 -- fixed arguments
        assert outcome.returncode == 0, outcome.stdout

    def test_the_sender_has_to_be_chosen(self, template: dict[str, Any]) -> None:
        assert "Default" not in template["Parameters"]["DefaultSenderEmail"]


class TestReleaseFacts:
    @pytest.fixture
    def facts(self, unpacked: Path) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((unpacked / "installer" / "release.json").read_text())
        return read

    def test_they_repeat_the_templates_parameters(
        self, facts: dict[str, Any], template: dict[str, Any]
    ) -> None:
        assert facts["parameters"] == template["Parameters"]

    def test_they_tell_what_the_functions_reserve(self, facts: dict[str, Any]) -> None:
        assert facts["reservedConcurrency"] == {
            "SenderConcurrency": "",
            "FeedbackConcurrency": "",
            "UnsubscribeConcurrency": "HostedUnsubscribe",
            "WebhookConcurrency": "SignedWebhooks",
        }

    def test_they_tell_which_regions_the_template_is_checked_for_and_what_some_lack(
        self, facts: dict[str, Any]
    ) -> None:
        assert facts["regions"] == list(REGIONS)
        assert (
            facts["regionsWithout"].keys()
            == {"HostedUnsubscribe", "RegisterSchemas", "SnapStart"}
            <= facts["parameters"].keys()
        )

    def test_the_installer_finds_all_that_outlives_the_stack_by_its_names(
        self, facts: dict[str, Any]
    ) -> None:
        found = find_retained(FakeAccount().aws, STACK, facts["retainedTemplate"])
        assert {one.name for one in found} == {
            f"{STACK}-templates-{ACCOUNT}",
            *(f"{STACK}-{table}" for table in ("EmailTracking", "Suppression", "State")),
            *(f"{STACK}-{queue}" for queue in ("EmailRetryQueue", "BulkEmailQueue", "ParkedEmailQueue")),
            *(f"{STACK}-{queue}DLQ" for queue in ("EventBridge", "EmailRetry", "BulkEmail")),
            f"{STACK}-FeedbackProcessorDLQ",
            f"{STACK}-WebhookDLQ",
        }

    def test_what_outlives_the_stack_can_be_taken_over(self, facts: dict[str, Any]) -> None:
        kept = facts["retainedTemplate"]["Resources"].values()
        names = {
            name
            for found in kept
            for name in ("TableName", "BucketName", "QueueName")
            if name in found["Properties"]
        }
        assert names == {"TableName", "BucketName", "QueueName"}
        assert {found["Type"] for found in kept} == {
            "AWS::DynamoDB::Table",
            "AWS::S3::Bucket",
            "AWS::SQS::Queue",
        }
        # As a template of its own it may refer to nothing that is not in it, and is sent without S3.
        assert len(json.dumps(facts["retainedTemplate"])) < LARGEST_BODY
        defined = {
            *facts["retainedTemplate"]["Resources"],
            *facts["retainedTemplate"]["Parameters"],
            *facts["retainedTemplate"].get("Mappings", ()),
            "AWS::StackName",
            "AWS::AccountId",
            "AWS::NoValue",
        }
        assert set(_references(facts["retainedTemplate"]["Resources"])) <= defined


class TestInstaller:
    def test_it_imports_boto3_and_the_standard_library_alone(self) -> None:
        imported = {name for path in MODULES for name in _imports(path)}
        ours_and_theirs = {"installer", "engine", "boto3", "botocore"}
        assert imported - sys.stdlib_module_names == ours_and_theirs

    def test_the_package_carries_all_of_the_engine_that_it_imports(self) -> None:
        imported = {
            node.module.replace(".", "/") + ".py"
            for path in MODULES
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("engine")
        }
        assert imported
        assert imported <= set(package.SHARED)

    @pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
    def test_python_3_9_can_read_it(self, path: Path) -> None:
        ast.parse(path.read_text(), feature_version=(3, 9))

    def test_it_runs_from_the_unpacked_package(self, unpacked: Path) -> None:
        outcome = _install(unpacked, "-E", "-s", "install.py", "--show-parameters")
        assert outcome.returncode == 0, outcome.stderr
        assert "DefaultSenderEmail (--sender, required)" in outcome.stdout

    def test_without_boto3_it_says_how_to_get_it(self, unpacked: Path) -> None:
        outcome = _install(unpacked, "-S", "install.py")
        assert outcome.returncode == 1
        assert outcome.stderr == "install.py needs boto3: python -m pip install -r requirements.txt\n"

    def test_every_failure_that_the_documentation_explains_is_one_that_the_installer_tells(self) -> None:
        explained = re.findall(
            r"^\| \*\*(.+?)\*\* \|", (ROOT / "docs" / "install.md").read_text(), re.MULTILINE
        )
        assert len(explained) > 5
        source = "".join(" ".join(_texts(path)) for path in MODULES)
        assert not [text for text in explained if text not in source]


def test_the_command_tells_what_it_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lambda/email-sender.zip", b"x")
        archive.writestr("install.py", b"x")
    asked: list[Any] = []

    def build(output: Path, *, target: str) -> Path:
        asked.extend([output, target])
        return path

    monkeypatch.setattr(package, "build_package", build)
    package.main(["--output", str(tmp_path), "--target", "local"])
    assert asked == [tmp_path, "local"]
    said = capsys.readouterr().out
    assert "lambda/email-sender.zip" in said
    assert "install.py" not in said
    assert f"{path} is written" in said


def _versions(template: dict[str, Any]) -> dict[str, str]:
    return {
        name.partition("Function")[0]: name
        for name, found in template["Resources"].items()
        if found["Type"] == "AWS::Lambda::Version"
    }


def _comparable(resources: dict[str, Any]) -> dict[str, Any]:
    """Without code, and versions by their function's name: what is left must be the same."""
    text = json.dumps(resources)
    for name, found in resources.items():
        if found["Type"] == "AWS::Lambda::Version":
            text = text.replace(name, name.partition("CurrentVersion")[0] + "CurrentVersion")
    compared: dict[str, Any] = json.loads(text)
    for found in compared.values():
        found.pop("Metadata", None)
        found.get("Properties", {}).pop("Code", None)
    return compared


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inside in value.items():
            if key == "Ref":
                yield inside
            elif key in {"Fn::GetAtt", "Fn::FindInMap"}:
                yield inside[0]
            yield from _references(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _references(inside)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _install(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 -- our own installer
        (sys.executable, *arguments), cwd=folder, check=False, capture_output=True, text=True
    )
