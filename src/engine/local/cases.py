"""The cases of the demo: an email for every outcome, with the status that it must reach."""

import base64
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from engine.consent.links import LINK_VARIABLES
from engine.local.emulator import PROJECT
from engine.requests.email_job import email_id, retry_id
from engine.schemas.request import Attachment, EmailRequest, SenderOverride

SOURCE: Final = "demo-shop"

_SIMULATOR: Final = "simulator.amazonses.com"
_SAMPLES: Final = PROJECT / "starter_templates"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One email of the demo, and the status that it must reach.

    `code`: the reason's code that it must have. `copies`: how often SES must have taken it. `publishes`: how
    often the event is published. `after`: a case that must have settled before this one is published.
    `unsubscribed`: before that, the reader of that case's email has pressed "Unsubscribe".
    `attempt` 1 follows the soft-bounce retry instead of the first try. `until`: an attribute that the row
    must have as well, for reports that change no status. `size`: the number of recipients of a campaign, each
    of whom must reach that status.
    """

    title: str
    request: EmailRequest
    status: str
    code: str | None = None
    copies: int = 1
    publishes: int = 1
    after: str | None = None
    unsubscribed: bool = False
    attempt: int = 0
    until: str | None = None
    size: int = 1

    @property
    def key(self) -> str:
        return self.title.replace(" ", "-")

    @property
    def email_ids(self) -> list[str]:
        """The emails whose status is awaited."""
        first = [email_id(SOURCE, request.idempotency_key or "") for request in self.requests()]
        return [retry_id(own_id, self.attempt) for own_id in first] if self.attempt else first

    def requests(self) -> list[EmailRequest]:
        if self.size == 1:
            return [replace(self.request, idempotency_key=self.key)]
        local, _, domain = self.request.to.partition("@")
        return [
            replace(self.request, to=f"{local}{n}@{domain}", idempotency_key=f"{self.key}-{n}")
            for n in range(self.size)
        ]


def request(to: str, template: str = "welcome", **more: Any) -> EmailRequest:
    """A request with the template's sample data."""
    return EmailRequest(to=to, template_name=template, **({"template_data": sample(template)} | more))


def sample(template: str) -> dict[str, Any]:
    file = _SAMPLES / template / "sample.json"
    return msgspec.json.decode(file.read_bytes(), type=dict[str, Any]) if file.exists() else {}


def cases() -> list[Case]:
    """One case for every outcome."""
    letter = request(
        f"success+campaign@{_SIMULATOR}",
        "newsletter",
        priority="bulk",
        # The links to unsubscribe are the engine's own.
        template_data={
            name: value for name, value in sample("newsletter").items() if name not in LINK_VARIABLES
        },
    )
    unsubscribes = f"success+campaign0@{_SIMULATOR}"
    terms = Attachment(
        file_name="terms.txt",
        content_type="text/plain",
        content=base64.b64encode(b"Thirty days, no questions.\n").decode(),
    )
    lost_mailbox = f"bounce+demo@{_SIMULATOR}"
    full_mailbox = f"fulltwice@{_SIMULATOR}"
    return [
        Case(title="welcome", request=request(f"open@{_SIMULATOR}"), status="opened"),
        Case(title="campaign of 20", request=letter, status="delivered", size=20),
        Case(
            title="unsubscribed",
            request=replace(letter, to=unsubscribes),
            status="failed",
            code="unsubscribed",
            copies=0,
            after="campaign of 20",
            unsubscribed=True,
        ),
        Case(
            title="reset to the same",
            request=request(unsubscribes, "password-reset"),
            status="delivered",
            after="unsubscribed",
        ),
        Case(
            title="with attachment",
            request=request(f"success+file@{_SIMULATOR}", "invoice", attachments=[terms]),
            status="delivered",
        ),
        Case(title="same event twice", request=request("twice@example.com"), status="delivered", publishes=2),
        Case(title="hard bounce", request=request(lost_mailbox), status="bounced"),
        Case(
            title="suppressed since",
            request=request(lost_mailbox, "password-reset"),
            status="failed",
            code="suppressed",
            copies=0,
            after="hard bounce",
        ),
        Case(title="complaint", request=request(f"complaint@{_SIMULATOR}"), status="complained"),
        Case(
            title="mailbox full",
            request=request(full_mailbox),
            status="failed",
            code="soft-bounce-retry-failed",
            attempt=1,
        ),
        Case(
            title="tidied since",
            request=request(full_mailbox, "password-reset"),
            status="delivered",
            after="mailbox full",
        ),
        Case(
            title="out of office",
            request=request(f"ooto@{_SIMULATOR}"),
            status="delivered",
            until="bounceType",
        ),
        Case(
            title="unknown template",
            request=request("ada@example.com", "farewell"),
            status="failed",
            code="template-not-found",
            copies=0,
        ),
        Case(
            title="lacks variables",
            request=request("ada@example.com", template_data={}),
            status="failed",
            code="template-error",
            copies=0,
        ),
        Case(title="bad address", request=request("ada@"), status="failed", code="validation", copies=0),
        Case(
            title="foreign sender",
            request=request("ada@example.com", sender_override=SenderOverride(email="ceo@bank.example")),
            status="failed",
            code="sender-not-allowed",
            copies=0,
        ),
        Case(
            title="dry run",
            request=request("ada@example.com", dry_run=True),
            status="dry_run",
            code="would-send",
            copies=0,
        ),
    ]
