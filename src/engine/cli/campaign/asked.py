"""The emails that a file asked for, and their ids. A saved progress says how they were asked for."""

from collections.abc import Iterator
from pathlib import Path

from engine.cli.campaign.plan import Plan
from engine.cli.campaign.progress import ProgressError, SavedProgress, digest, load
from engine.cli.campaign.recipients import RecipientsFile
from engine.operations.campaign import Wanted
from engine.requests.email_job import email_id


def saved_progress(recipients: Path, state: Path | None) -> SavedProgress:
    """The progress of the run that sent this file. Raises ProgressError."""
    path = state or progress_file(recipients)
    saved = load(path)
    if saved is None:
        raise ProgressError(
            f"{path} is not there. `sesmailengine send` writes it, and it says how the rows of"
            f" {recipients.name} were asked for: name it with --state."
        )
    if saved.identity.recipients != digest(recipients):
        raise ProgressError(
            f"{recipients.name} is not the file that {path.name} is about: it has changed since."
        )
    return saved


def progress_file(recipients: Path) -> Path:
    """Where progress is saved unless told otherwise."""
    return recipients.with_name(f"{recipients.name}.progress")


def wanted_emails(recipients: Path, saved: SavedProgress) -> Iterator[Wanted]:
    """Every email of the file once, in its order; bad rows ask for none."""
    identity = saved.identity
    plan = Plan(
        recipients=recipients,
        template=identity.template,
        prefix=saved.prefix,
        bulk=identity.bulk,
        campaign=identity.campaign,
        topic=identity.topic,
    )
    return asked_by(plan, identity.source)


def asked_by(plan: Plan, source: str) -> Iterator[Wanted]:
    """As `wanted_emails`, of a plan."""
    seen: set[int] = set()
    for checked in plan.check(RecipientsFile(plan.recipients)):
        if checked.request is None or (key := hash(checked.request.idempotency_key)) in seen:
            continue
        seen.add(key)
        own_id = email_id(source, checked.request.idempotency_key or "")
        yield Wanted(checked.row.line, checked.request.to, own_id, len(checked.request.recipients))
