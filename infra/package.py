"""The distribution package: everything a customer needs to install without CDK, git or make.

    dist/sesmailengine-v<version>.zip
    ├── lambda/             the functions' zips
    ├── starter-templates/  for reading; the template seeder carries its own copy
    ├── template.yaml       from the same constructs as `cdk deploy`, without CDK's bootstrap
    ├── install.py          with its modules in installer/, and in engine/ the rules it shares with `doctor`
    ├── requirements.txt
    └── docs/

Two builds of one commit are the same, byte for byte. Call it by `python -m infra.package`.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml  # type: ignore[import-untyped]  # one call; its stubs would be a dependency of their own
from aws_cdk import App, DefaultStackSynthesizer
from aws_cdk import aws_lambda as lambda_

from infra.bundling import ROOT, TIME_STAMP, Bundles
from infra.function_code import from_parameters
from infra.regions import LACKING, REGIONS
from infra.settings import StackSettings, Target, parameter_name
from infra.stack import EmailEngineStack
from infra.version import version

_INSTALLER = ROOT / "installer"
SHARED = ("engine/__init__.py", "engine/operations/__init__.py", "engine/operations/account_checks.py")
_STARTER_TEMPLATES = ROOT / "starter_templates"
_DOCS = ROOT / "docs"
_DOCUMENTS = {".md", ".json"}
_KEEPS = {"Retain", "RetainExceptOnCreate"}

# The order in which a person reads a template.
_SECTIONS = ("AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings",
             "Conditions", "Resources", "Outputs")  # fmt: skip

_Template = dict[str, Any]


def build_package(output: Path = ROOT / "dist", *, target: Target = "lambda") -> Path:
    """Build the package into `output`. A `target` of "local" makes zips that run on this machine."""
    bundles = Bundles.build(target)
    template = package_template(bundles, target)
    path = output / f"sesmailengine-v{version()}.zip"
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as scratch:
        partial = Path(scratch) / path.name
        with zipfile.ZipFile(partial, "w") as package:
            for name, content in sorted(_contents(bundles, template)):
                entry = zipfile.ZipInfo(name, TIME_STAMP)
                entry.external_attr = 0o644 << 16
                entry.create_system = 3  # Unix, also when built on Windows
                entry.compress_type = zipfile.ZIP_STORED if name.endswith(".zip") else zipfile.ZIP_DEFLATED
                package.writestr(entry, content)
        partial.replace(path)
    return path


def package_template(bundles: Bundles, target: Target = "lambda") -> _Template:
    """The stack's template with its code behind parameters, and nothing that CDK would have to prepare."""
    with tempfile.TemporaryDirectory() as scratch:
        context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
        app = App(context=context, outdir=scratch, analytics_reporting=False)
        stack = EmailEngineStack(
            app,
            "SESMailEngine",
            settings=StackSettings(target=target),
            bundles=bundles,
            code_from=from_parameters,
            synthesizer=DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
        )
        for construct in stack.node.find_all():
            if isinstance(construct, lambda_.Function):
                # New code must make a new version, though the template names it by a parameter. And only new
                # code: Lambda refuses to publish a version that equals the one before, and the update fails.
                code = bundles.seeder if "TemplateSeeder" in construct.node.path else bundles.engine
                construct.invalidate_version_based_on(hashlib.sha256(code.read_bytes()).hexdigest())
        made = app.synth().get_stack_by_name(stack.stack_name)
        template: _Template = json.loads(Path(made.template_full_path).read_text(encoding="utf-8"))
    return {name: template[name] for name in _SECTIONS if name in template}


def release_facts(template: _Template) -> dict[str, Any]:
    """What the installer must know of the template, which it can't read: YAML is not in Python's library."""
    resources = template["Resources"]
    functions = [
        found for found in resources.values() if "ReservedConcurrentExecutions" in found.get("Properties", {})
    ]
    return {
        "version": version(),
        "parameters": template["Parameters"],
        # `{Fn::If: [condition, {Ref: parameter}, nothing]}` reserves what the parameter says, or nothing. The
        # function is there always, or by the condition `Wants{parameter}`.
        "reservedConcurrency": {
            found["Properties"]["ReservedConcurrentExecutions"]["Fn::If"][1]["Ref"]: found.get(
                "Condition", ""
            ).removeprefix("Wants")
            for found in functions
        },
        "regions": REGIONS,
        "regionsWithout": {parameter_name(name): regions for name, regions in LACKING.items()},
        "retainedTemplate": {
            **{name: template[name] for name in ("Parameters", "Mappings", "Conditions") if name in template},
            "Resources": {
                name: found for name, found in resources.items() if found.get("DeletionPolicy") in _KEEPS
            },
        },
    }


def _contents(bundles: Bundles, template: _Template) -> Iterator[tuple[str, bytes]]:
    yield "lambda/email-sender.zip", bundles.engine.read_bytes()
    yield "lambda/feedback-processor.zip", bundles.engine.read_bytes()
    yield "lambda/template-seeder.zip", bundles.seeder.read_bytes()
    text = yaml.dump(template, Dumper=_PlainDumper, sort_keys=False, width=110, allow_unicode=True)
    yield "template.yaml", text.encode()
    yield "installer/release.json", (json.dumps(release_facts(template), indent=2) + "\n").encode()
    yield "install.py", (_INSTALLER / "install.py").read_bytes()
    yield "requirements.txt", (_INSTALLER / "requirements.txt").read_bytes()
    for module in _INSTALLER.glob("*.py"):
        if module.name != "install.py":
            yield f"installer/{module.name}", module.read_bytes()
    for shared in SHARED:
        yield shared, (ROOT / "src" / shared).read_bytes()
    yield from _folder(_STARTER_TEMPLATES, "starter-templates")
    for name, content in _folder(_DOCS, "docs"):
        if Path(name).suffix in _DOCUMENTS:
            yield name, content
    for name in ("LICENSE", "CHANGELOG.md"):
        yield f"docs/{name}", (ROOT / name).read_bytes()


def _folder(folder: Path, name: str) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes()


class _PlainDumper(yaml.SafeDumper):  # type: ignore[misc]  # untyped, as above
    """Without anchors: CloudFormation reads them, people don't."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.package", description="Build the package.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--target", choices=get_args(Target), default="lambda", help="whose machine runs it")
    options = parser.parse_args(arguments)
    path = build_package(options.output, target=options.target)
    with zipfile.ZipFile(path) as package:
        for entry in package.infolist():
            if entry.filename.startswith("lambda/"):
                sys.stdout.write(f"{entry.filename:32}{entry.file_size / 2**20:6.2f} MB\n")
    sys.stdout.write(f"{path} is written, {path.stat().st_size / 2**20:.2f} MB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
