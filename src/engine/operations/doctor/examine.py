"""The whole examination, from the stack's name to a report."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Final, Protocol, TypeVar

from botocore.exceptions import ClientError
from msgspec import Struct

from engine.operations.account_checks import Answer, Finding, sender_identity
from engine.operations.doctor import domain_checks
from engine.operations.doctor.asking import StackQuestions, find_stack, known_identities, sender_environment
from engine.operations.doctor.dns_records import (
    DnsRecord,
    DomainInDns,
    dkim_records,
    looked_up,
    mail_from_records,
)
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict

# How services say that there is no such resource: SQS, SES, and the others.
_MISSING: Final = frozenset(
    {"AWS.SimpleQueueService.NonExistentQueue", "NotFoundException", "ResourceNotFoundException"}
)
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError"})

DEAD_LETTERS: Final = "dead letters"

T = TypeVar("T")


class AsksDns(Protocol):
    """Blocks while it looks."""

    def look(self, domain: str, mail_from: str | None, records: list[DnsRecord]) -> DomainInDns: ...


class Topic(Struct, frozen=True, kw_only=True):
    """Findings about one thing, such as `account`."""

    name: str
    findings: tuple[Finding, ...]


class Examination(Struct, frozen=True, kw_only=True, rename="camel"):
    """`domain` is None where no sender is known; `records` are those that its identity wants."""

    domain: str | None
    topics: tuple[Topic, ...]
    records: tuple[DnsRecord, ...] = ()

    @property
    def findings(self) -> list[Finding]:
        return [finding for topic in self.topics for finding in topic.findings]


async def examine(stack: DeployedStack, dns: AsksDns | None, domain: str | None = None) -> Examination:
    """`domain`: that of DEFAULT_SENDER_EMAIL unless given. `dns` is None where DNS is not to be asked."""
    found = await find_stack(stack)
    environment = await _attempt(stack, sender_environment(stack))
    variables: Answer = {} if isinstance(environment, Finding) else environment
    questions = StackQuestions(stack, found, variables)
    asked = {
        "stack": questions.status(),
        "account": questions.account(),
        "SES's reports": questions.reports(),
        "tracking": questions.tracking(),
        DEAD_LETTERS: questions.dead_letters(),
        "concurrency": questions.room(),
        "alarms": questions.alarms(),
    }
    answers = await asyncio.gather(*(_attempt(stack, question) for question in asked.values()))
    topics = [_topic(name, answer) for name, answer in zip(asked, answers, strict=True)]
    if isinstance(environment, Finding):
        topics.append(_topic("EmailSender", environment))
    sender = domain or variables.get("DEFAULT_SENDER_EMAIL") or _sender_parameter(found)
    if not sender:
        return Examination(domain=None, topics=tuple(topics))
    name = _domain_of(sender)
    about = await _attempt(stack, _examine_domain(stack, sender, dns))
    findings, records = (about, []) if isinstance(about, Finding) else about
    return Examination(domain=name, topics=(*topics, _topic(name, findings)), records=tuple(records))


def _topic(name: str, findings: Sequence[Finding] | Finding) -> Topic:
    return Topic(name=name, findings=(findings,) if isinstance(findings, Finding) else tuple(findings))


async def _examine_domain(
    stack: DeployedStack, sender: str, dns: AsksDns | None
) -> tuple[list[Finding], list[DnsRecord]]:
    ses = await stack.client("sesv2")
    region, domain = str(ses.meta.region_name), _domain_of(sender)
    known = await known_identities(stack, sender)
    findings = [sender_identity(sender, region, known)]
    # A domain signs for its addresses: what SES knows of it tells more than what it knows of one of them.
    name = next((each for each in known if "@" not in each), next(iter(known), None))
    if name is None:
        return findings, []
    identity = known[name]
    keys, envelope = dkim_records(name, identity, region), mail_from_records(identity, region)
    seen = DomainInDns()
    if dns is not None:
        used = identity.get("MailFromAttributes", {}).get("MailFromDomain")
        seen = await asyncio.to_thread(dns.look, domain, used, [*keys, *envelope])
    keys, envelope = ([looked_up(each, seen) for each in records] for records in (keys, envelope))
    findings += domain_checks.dkim(domain, name, identity, keys)
    findings += domain_checks.mail_from(domain, name, identity, envelope)
    if dns is None:
        findings.append(Finding("skipped", domain_checks.NOT_ASKED))
        return findings, [*keys, *envelope]
    findings += domain_checks.spf(domain, identity, seen)
    findings += domain_checks.dmarc(domain, name, identity, seen)
    return findings, [*keys, *envelope, *domain_checks.dmarc_records(domain, seen)]


async def _attempt(stack: DeployedStack, question: Awaitable[T]) -> T | Finding:
    """The answer, or a finding that says why there is none."""
    try:
        return await question
    except ClientError as error:
        return _unanswered(stack.address.stack, error)


def _unanswered(stack: str, error: ClientError) -> Finding:
    code, operation = error.response["Error"]["Code"], error.operation_name
    if code in _MISSING:
        return Finding(
            "problem",
            f"{operation} found no such resource of the stack.",
            "Deploy the stack anew: CloudFormation's drift detection names what is gone.",
        )
    if code in _DENIED:
        return Finding(
            "skipped",
            f"These credentials may not call {operation}.",
            f"Attach the managed policy {stack}-Support.",
        )
    return Finding("skipped", f"AWS does not answer {operation}: {code}.")


def verdict(examination: Examination, options: str = "") -> Verdict:
    """`problem` alone makes it bad; what could not be looked at is said, as it may hide one.

    `options`: those that lead to the stack.
    """
    by_level = Counter(finding.level for finding in examination.findings)
    unseen = f" {by_level['skipped']} could not be looked at." if by_level["skipped"] else ""
    if by_level["problem"]:
        several = "s stop or harm" if by_level["problem"] > 1 else " stops or harms"
        return Verdict(
            good=False,
            sentence=f"{by_level['problem']} problem{several} mail.{unseen}",
            next_command=f"sesmailengine dlq{options}" if _has_dead_letters(examination) else None,
        )
    notes = f" {by_level['note']} worth knowing." if by_level["note"] else ""
    return Verdict(good=True, sentence=f"Nothing was found that stops or harms mail.{notes}{unseen}")


def _has_dead_letters(examination: Examination) -> bool:
    found = [topic.findings for topic in examination.topics if topic.name == DEAD_LETTERS]
    return any(finding.level == "problem" for findings in found for finding in findings)


def _domain_of(sender: str) -> str:
    return sender.rpartition("@")[2]


def _sender_parameter(stack: Answer) -> str | None:
    given = {each["ParameterKey"]: each.get("ParameterValue") for each in stack.get("Parameters", ())}
    return given.get("DefaultSenderEmail")
