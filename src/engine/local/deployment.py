"""A real `cdk deploy` of `infra/`, against the emulator.

Synthesizing takes longer than all else together, and depends on files and settings alone: an assembly is kept
under the digest of both, and deployed again as it is.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp
import msgspec

from engine.local.cdk import cdk
from engine.local.emulator import PROJECT, Emulator

ACCOUNT = "000000000000"
STACK_NAME = "sesmailengine"
DEFAULT_SENDER = "no-reply@example.com"

# What an assembly depends on, and what of it no function contains.
_SOURCES = ("infra", "src/engine", "starter_templates", "requirements/lambda.txt", "cdk.json")
_NOT_DEPLOYED = ("src/engine/authoring", "src/engine/cli", "src/engine/client", "src/engine/local")
_KEPT_ASSEMBLIES = 3

_CONTEXT = {
    "target": "local",
    "stackName": STACK_NAME,
    "defaultSenderEmail": DEFAULT_SENDER,
    "environment": "dev",
    "hostedUnsubscribe": "true",
    "unsubscribeTopics": "newsletter=Newsletter",
    # Every environment of a function is a process here, whose start takes a core for a second.
    "bulkConcurrency": "2",
}


class Deployment(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The stack's outputs."""

    event_bus_name: str
    template_bucket: str
    tracking_table: str
    suppression_table: str
    state_table: str
    email_retry_queue_url: str
    bulk_email_queue_url: str
    event_bridge_dlq_url: str = msgspec.field(name="EventBridgeDLQUrl")
    email_retry_dlq_url: str = msgspec.field(name="EmailRetryDLQUrl")
    bulk_email_dlq_url: str = msgspec.field(name="BulkEmailDLQUrl")
    feedback_processor_dlq_url: str = msgspec.field(name="FeedbackProcessorDLQUrl")
    feedback_topic_arn: str
    configuration_set_name: str
    email_sender_function: str


def feedback_topic_arn(region: str) -> str:
    """The topic's ARN, for the simulator, which starts before the topic exists."""
    return f"arn:aws:sns:{region}:{ACCOUNT}:{STACK_NAME}-SESFeedback"


async def synthesize(folder: Path, settings: Mapping[str, str] | None = None) -> Path:
    """The cloud assembly of `infra/` for this machine, in `folder`; synthesized only after a change.

    `settings` are CDK context keys that override those of a local environment. Raises `CdkError`.
    """
    context = {**_CONTEXT, **(settings or {})}
    assemblies = _Assemblies(folder)
    if (kept := assemblies.find(context)) is not None:
        return kept
    with assemblies.scratch() as scratch:
        made = f"{scratch}/assembly"
        command = ("synth", "--quiet", "--app", f'"{sys.executable}" -m infra.app', "--output", made)
        pairs = [argument for pair in context.items() for argument in ("-c", "=".join(pair))]
        await cdk(*command, *pairs, environment={}, log=assemblies.log)
        return assemblies.keep(Path(made), context)


async def deploy(
    emulator: Emulator, assembly: Path, *, parameters: Mapping[str, str] | None = None
) -> Deployment:
    """Deploy `assembly` and return the stack's outputs; CDK's log is beside the emulator's.

    `parameters` are CloudFormation's, where they differ from the template's defaults. Raises `CdkError` with
    the failed resources.
    """
    # All that is left of `cdk bootstrap` when CDK acts with the caller's own credentials.
    bucket = f"{emulator.endpoint}/cdk-hnb659fds-assets-{ACCOUNT}-{emulator.region}"
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.put(bucket):
        pass
    outputs = emulator.log.with_name("outputs.json")
    await cdk(
        "deploy", "--app", str(assembly), "--outputs-file", str(outputs),
        "--require-approval", "never", "--progress", "events",
        *(word for pair in (parameters or {}).items() for word in ("--parameters", "=".join(pair))),
        environment=emulator.environment, log=emulator.log.with_name("deploy.log"),
    )  # fmt: skip
    return msgspec.json.decode(outputs.read_bytes(), type=dict[str, Deployment])[STACK_NAME]


class _Assemblies:
    """The latest assemblies in a folder, each under the digest of what it depends on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        self.log = self._folder / "synth.log"

    def find(self, context: Mapping[str, str]) -> Path | None:
        assembly = self._path(context)
        if not assembly.exists():
            return None
        assembly.touch()
        return assembly

    def scratch(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True)

    def keep(self, made: Path, context: Mapping[str, str]) -> Path:
        assembly = self._path(context)
        if not assembly.exists():
            made.rename(assembly)
        newest_last = sorted(self._folder.glob("assembly-*"), key=lambda path: path.stat().st_mtime)
        for old in newest_last[:-_KEPT_ASSEMBLIES]:
            shutil.rmtree(old, ignore_errors=True)
        return assembly

    def _path(self, context: Mapping[str, str]) -> Path:
        digest = hashlib.sha256(json.dumps([context, sys.version], sort_keys=True).encode())
        for path in sorted(_source_files()):
            digest.update(f"\0{path.relative_to(PROJECT).as_posix()}\0".encode())
            digest.update(path.read_bytes())
        return self._folder / f"assembly-{digest.hexdigest()[:16]}"


def _source_files() -> Iterator[Path]:
    left_out = tuple(PROJECT / path for path in _NOT_DEPLOYED)
    for source in _SOURCES:
        root = PROJECT / source
        for path in [root] if root.is_file() else root.rglob("*"):
            if path.is_file() and path.suffix != ".pyc" and not any(path.is_relative_to(p) for p in left_out):
                yield path
