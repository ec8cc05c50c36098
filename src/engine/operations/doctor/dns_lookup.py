"""DNS, asked about a domain: dnspython looks up, checkdmarc reads SPF and DMARC as receivers do.

Importing it takes half a second.
"""

from collections.abc import Iterable
from typing import Any, Final

import dns.exception
import dns.resolver
from checkdmarc.dmarc import check_dmarc  # type: ignore[import-untyped] # annotated, but not marked as typed
from checkdmarc.spf import check_spf  # type: ignore[import-untyped] # as above

from engine.operations.doctor.dns_records import DmarcRecord, DnsRecord, DomainInDns, SpfRecord

_SECONDS: Final = 5.0
_THERE_IS_NONE: Final = (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)
_NO_RECORD: Final = "A DMARC record does not exist"


class DnsLookup:
    """`resolver`: the system's, unless given."""

    def __init__(self, resolver: dns.resolver.Resolver | None = None) -> None:
        self._resolver = resolver or dns.resolver.Resolver()
        self._resolver.lifetime = _SECONDS

    def look(self, domain: str, mail_from: str | None, records: Iterable[DnsRecord]) -> DomainInDns:
        """Blocks, some seconds where name servers don't answer. Never raises for what DNS says."""
        asked = {(record.name, record.type) for record in records}
        values = {question: self._values(*question) for question in sorted(asked)}
        spf = {name: self._spf(name) for name in (domain, mail_from) if name}
        return DomainInDns(
            values={question: found for question, found in values.items() if found is not None},
            spf={name: found for name, found in spf.items() if found is not None},
            dmarc=self._dmarc(domain),
        )

    def _values(self, name: str, kind: str) -> tuple[str, ...] | None:
        """The records of a name, none where DNS knows none, and None where it gave no answer."""
        try:
            answer = self._resolver.resolve(name, kind)
        except _THERE_IS_NONE:
            return ()
        except dns.exception.DNSException:
            return None
        if kind == "TXT":
            return tuple(b"".join(each.strings).decode(errors="replace") for each in answer)
        return tuple(each.to_text().rstrip(".") for each in answer)

    def _spf(self, domain: str) -> SpfRecord | None:
        texts = self._values(domain, "TXT")
        if texts is None:
            return None
        if not any(text.lower().startswith("v=spf1") for text in texts):
            return SpfRecord()
        found: dict[str, Any] = check_spf(domain, resolver=self._resolver)
        return SpfRecord(
            record=found["record"], lookups=found.get("dns_lookups") or 0, error=found.get("error", "")
        )

    def _dmarc(self, domain: str) -> DmarcRecord | None:
        if self._values(f"_dmarc.{domain}", "TXT") is None:
            return None
        found: Any = check_dmarc(domain, resolver=self._resolver, ignore_unrelated_records=True)
        if not found["valid"]:
            error = "" if found["error"].startswith(_NO_RECORD) else found["error"]
            return DmarcRecord(record=found["record"], location=found["location"] or "", error=error)
        tags = found["tags"]
        of_subdomain = found["location"] != domain and "sp" in tags
        return DmarcRecord(
            record=found["record"],
            location=found["location"],
            policy=tags["sp" if of_subdomain else "p"]["value"],
            strict_dkim=tags["adkim"]["value"] == "s",
            strict_spf=tags["aspf"]["value"] == "s",
        )
