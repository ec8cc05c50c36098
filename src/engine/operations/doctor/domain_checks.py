"""Whether receivers believe mail of a domain: DKIM, MAIL FROM, SPF and DMARC, as SES and as DNS say.

`identity` is GetEmailIdentity's answer for `name`, which is the domain or a parent of it; `dns` is None where
DNS was not asked.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from engine.operations.account_checks import Answer, Finding, Level
from engine.operations.doctor.dns_records import SPF, SPF_INCLUDE, DnsRecord, DomainInDns

MAX_SPF_LOOKUPS: Final = 10
"""RFC 7208, section 4.6.4: with one more, receivers answer `permerror`."""

DMARC_TO_BEGIN_WITH: Final = "v=DMARC1; p=none"
NOT_ASKED: Final = "DNS was not asked: this AWS is another one, whose identities no DNS knows."


def dkim(domain: str, name: str, identity: Answer, records: Sequence[DnsRecord]) -> Iterator[Finding]:
    """`records`: Easy DKIM's, looked up."""
    if "@" in name:
        yield Finding(
            "problem",
            f"Only the address {name} is verified: SES signs its mail as amazonses.com, not as {domain}.",
            f"aws sesv2 create-email-identity --email-identity {domain}, then publish what `doctor` prints.",
            "Receivers that go by DMARC see no signature of the sender.",
        )
        return
    attributes = identity.get("DkimAttributes", {})
    status = attributes.get("Status", "NOT_STARTED")
    if status != "SUCCESS":
        yield Finding(
            "problem",
            f"DKIM of {name} is {status} at SES: mail is not signed as {name}.",
            "Publish the CNAME records below; SES looks for them every few hours.",
            "Unsigned mail of a domain is refused or filed as spam.",
        )
    elif not attributes.get("SigningEnabled"):
        yield Finding(
            "problem",
            f"DKIM of {name} is switched off.",
            f"aws sesv2 put-email-identity-dkim-attributes --email-identity {name} --signing-enabled",
            "Unsigned mail of a domain is refused or filed as spam.",
        )
    else:
        yield Finding("ok", f"SES signs as {name} (DKIM)")
    missing = [record.name for record in records if record.published is False]
    if missing:
        yield Finding(
            "problem",
            f"DNS lacks {_count(len(missing), 'DKIM record')} of {len(records)}.",
            "Publish the CNAME records below.",
            "Receivers find no key to check the signature with, and SES takes the verification back.",
        )
    elif records and all(record.published for record in records):
        yield Finding("ok", f"DNS has all {len(records)} DKIM records")


def mail_from(domain: str, name: str, identity: Answer, records: Sequence[DnsRecord]) -> Iterator[Finding]:
    """The envelope's sender, by which SPF goes. `records`: its own, looked up."""
    attributes = identity.get("MailFromAttributes", {})
    used = attributes.get("MailFromDomain")
    if not used:
        yield Finding(
            "note",
            f"Mail of {domain} has amazonses.com as its MAIL FROM.",
            "For one of your own: aws sesv2 put-email-identity-mail-from-attributes"
            f" --email-identity {name} --mail-from-domain bounce.{name}, then `doctor` prints its records.",
            "SPF passes, but for amazonses.com: DMARC hangs on DKIM alone.",
        )
        return
    status = attributes.get("MailFromDomainStatus")
    refuses = attributes.get("BehaviorOnMxFailure") == "REJECT_MESSAGE"
    if status == "SUCCESS":
        yield Finding("ok", f"SES uses the MAIL FROM domain {used}")
    else:
        yield Finding(
            "problem" if refuses else "note",
            f"The MAIL FROM domain {used} is {status} at SES: "
            + ("SES refuses to send." if refuses else "SES uses amazonses.com instead."),
            "Publish its MX record below.",
        )
    if any(record.type == "MX" and record.published is False for record in records):
        yield Finding(
            "problem" if refuses else "note",
            f"DNS lacks the MX record of {used}.",
            "Publish the MX record below.",
            "SES gives a MAIL FROM domain up within three days of missing it.",
        )


def spf(domain: str, identity: Answer, dns: DomainInDns) -> Iterator[Finding]:
    """SES's mail is judged by SPF of the MAIL FROM domain; the sender's domain's serves its other mail."""
    envelope = identity.get("MailFromAttributes", {}).get("MailFromDomain")
    if envelope and envelope in dns.spf:
        yield _spf_of(envelope, dns, is_envelope=True)
    if domain != envelope and domain in dns.spf and dns.spf[domain].record:
        yield _spf_of(domain, dns, is_envelope=False)


def _spf_of(domain: str, dns: DomainInDns, *, is_envelope: bool) -> Finding:
    found = dns.spf[domain]
    level: Level = "problem" if is_envelope else "note"
    why = "SPF fails for SES's mail." if is_envelope else _OTHER_MAIL
    if found.record is None and not found.error:
        return Finding(level, f"{domain} has no SPF record.", f"Publish TXT {domain}: {SPF}", why)
    if found.lookups > MAX_SPF_LOOKUPS:
        return Finding(
            level,
            f"SPF of {domain} takes {found.lookups} DNS look-ups, and {MAX_SPF_LOOKUPS} are allowed.",
            "Take out includes that no longer send for you, or move senders to subdomains.",
            f"Receivers stop there and answer permerror (RFC 7208, 4.6.4). {why}",
        )
    if found.error:
        return Finding(level, f"SPF of {domain} can't be used: {found.error}", "Correct the record.", why)
    if is_envelope and SPF_INCLUDE not in (found.record or "").lower().split():
        return Finding(level, f"SPF of {domain} lacks SES.", f"Add {SPF_INCLUDE} to it.", why)
    return Finding("ok", f"SPF of {domain} takes {found.lookups} of {MAX_SPF_LOOKUPS} DNS look-ups")


_OTHER_MAIL: Final = "SES's mail is not judged by it; other mail of the domain is."


def dmarc(domain: str, name: str, identity: Answer, dns: DomainInDns) -> Iterator[Finding]:
    """Whether DKIM or SPF passes for the domain in From, which is what DMARC asks.

    SES signs as the identity and has a MAIL FROM domain below it, so under relaxed alignment both are aligned
    where they are there at all; under strict alignment the names must be equal.
    """
    found = dns.dmarc
    if found is None:
        yield Finding("skipped", "DNS gave no answer about DMARC.", "Try again later.")
        return
    if found.error:
        yield Finding(
            "problem",
            f"DMARC of {domain} can't be used: {found.error}",
            f"Correct what it names; the record's place is TXT _dmarc.{found.location or domain}.",
            "Receivers treat the domain as if it had no policy, or refuse its mail.",
        )
        return
    if found.record is None:
        yield Finding(
            "problem",
            f"{domain} has no DMARC record.",
            f"Publish TXT _dmarc.{domain}: {DMARC_TO_BEGIN_WITH}; later a rua= address, then p=quarantine.",
            "Gmail, Yahoo and Outlook refuse bulk mail of domains without one.",
        )
        return
    signing, envelope = identity.get("DkimAttributes", {}), identity.get("MailFromAttributes", {})
    signed = "@" not in name and signing.get("Status") == "SUCCESS" and signing.get("SigningEnabled", False)
    used = envelope.get("MailFromDomain") if envelope.get("MailFromDomainStatus") == "SUCCESS" else None
    aligned = {
        "DKIM": signed and (name == domain or not found.strict_dkim),
        "SPF": used is not None and (used == domain or not found.strict_spf),
    }
    by = [mechanism for mechanism, holds in aligned.items() if holds]
    if by:
        yield Finding("ok", f"DMARC of {domain} (p={found.policy}) passes by {' and '.join(by)}")
        return
    yield Finding(
        "problem",
        f"DMARC of {domain} (p={found.policy}) fails for SES's mail: neither DKIM nor SPF is aligned.",
        "Have SES sign as the domain in From (above), or relax adkim and aspf of the record.",
        "Receivers do with it as the policy says." if found.policy != "none" else "It is filed as spam.",
    )


def dmarc_records(domain: str, dns: DomainInDns) -> list[DnsRecord]:
    """The record that the domain or a parent of it has, or one to begin with."""
    if dns.dmarc is None:
        return []
    name = f"_dmarc.{dns.dmarc.location or domain}"
    value, published = dns.dmarc.record or DMARC_TO_BEGIN_WITH, dns.dmarc.record is not None
    return [DnsRecord(name=name, type="TXT", value=value, published=published)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
