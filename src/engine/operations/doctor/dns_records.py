"""The DNS records that SES wants of a domain, and whether they are published."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct

from engine.operations.account_checks import Answer

SPF: Final = "v=spf1 include:amazonses.com ~all"
SPF_INCLUDE: Final = "include:amazonses.com"
_MX_PRIORITY: Final = 10

# Regions whose DKIM keys lie under a name of their own; everywhere else it is dkim.amazonses.com.
# https://docs.aws.amazon.com/general/latest/gr/ses.html#ses_dkim_domains
_OWN_DKIM_DOMAIN: Final = frozenset(
    {
        "af-south-1",
        "ap-northeast-3",
        "ap-south-2",
        "ap-southeast-3",
        "ap-southeast-5",
        "ca-west-1",
        "eu-central-2",
        "eu-south-1",
        "il-central-1",
        "me-central-1",
        "us-gov-east-1",
    }
)


class DnsRecord(Struct, frozen=True, kw_only=True, rename="camel"):
    """A record to publish. `published` is None where DNS was not asked or gave no answer."""

    name: str
    type: str
    value: str
    published: bool | None = None


@dataclass(frozen=True)
class SpfRecord:
    """SPF of a domain as receivers evaluate it. `lookups`: DNS look-ups that one evaluation takes."""

    record: str | None = None
    lookups: int = 0
    error: str = ""


@dataclass(frozen=True)
class DmarcRecord:
    """DMARC of a domain: its record, found at `location` (the domain or a parent), and what it says."""

    record: str | None = None
    location: str = ""
    policy: str = "none"
    strict_dkim: bool = False
    strict_spf: bool = False
    error: str = ""


@dataclass(frozen=True)
class DomainInDns:
    """What DNS answered. None, or a missing entry: it gave no answer, which is not to say that none is there.

    `values`: by name and type, such as `("_dmarc.example.com", "TXT")`.
    """

    values: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    spf: Mapping[str, SpfRecord] = field(default_factory=dict)
    dmarc: DmarcRecord | None = None


def dkim_records(domain: str, identity: Answer, region: str) -> list[DnsRecord]:
    """Easy DKIM's three. A key of one's own (BYODKIM) is a record that SES does not know whole: none here."""
    dkim = identity.get("DkimAttributes", {})
    if dkim.get("SigningAttributesOrigin") == "EXTERNAL":
        return []
    hosted = f"dkim.{region}.amazonses.com" if region in _OWN_DKIM_DOMAIN else "dkim.amazonses.com"
    return [
        DnsRecord(name=f"{token}._domainkey.{domain}", type="CNAME", value=f"{token}.{hosted}")
        for token in dkim.get("Tokens", ())
    ]


def mail_from_records(identity: Answer, region: str) -> list[DnsRecord]:
    """https://docs.aws.amazon.com/ses/latest/dg/mail-from.html."""
    name = identity.get("MailFromAttributes", {}).get("MailFromDomain")
    if not name:
        return []
    exchange = f"{_MX_PRIORITY} feedback-smtp.{region}.amazonses.com"
    return [DnsRecord(name=name, type="MX", value=exchange), DnsRecord(name=name, type="TXT", value=SPF)]


def looked_up(record: DnsRecord, dns: DomainInDns) -> DnsRecord:
    """The record, with whether DNS has it."""
    values = dns.values.get((record.name, record.type))
    if values is None:
        return record
    return msgspec.structs.replace(record, published=any(_serves(value, record) for value in values))


def _serves(value: str, record: DnsRecord) -> bool:
    """Whether what is published does what `record` is for: another priority or more of SPF do no harm."""
    value, wanted = value.lower().rstrip("."), record.value.lower()
    if record.type == "MX":
        return value.rpartition(" ")[2] == wanted.rpartition(" ")[2]
    if record.value == SPF:
        return value.startswith("v=spf1") and SPF_INCLUDE in value.split()
    return value == wanted
