"""DNS out of a dictionary, behind dnspython's own interface."""

from collections.abc import Mapping, Sequence
from typing import Any

import checkdmarc.utils  # type: ignore[import-untyped] # annotated, but not marked as typed
import dns.exception
import dns.message
import dns.rdatatype
import dns.resolver
import dns.rrset

Answers = Mapping[tuple[str, str], Sequence[str]]


class Zone(dns.resolver.Resolver):
    """Answers by name and type, in a zone file's notation; TXT without its quotes. Asks no network.

    `silent`: names whose servers give no answer.
    """

    def __init__(self, answers: Answers, *, silent: Sequence[str] = ()) -> None:
        super().__init__(configure=False)
        self._answers = answers
        self._silent = silent
        checkdmarc.utils.DNS_CACHE.clear()  # of other zones

    def resolve(self, qname: Any, rdtype: Any = "A", *_: Any, **__: Any) -> Any:
        name, kind = str(qname).rstrip("."), dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype))
        if name in self._silent:
            raise dns.resolver.NoNameservers
        if not any(known == name or known.endswith(f".{name}") for known, _ in self._answers):
            raise dns.resolver.NXDOMAIN
        found = self._answers.get((name, kind), ())
        if not found:
            question = dns.message.make_query(name, kind)
            no_answer: Any = dns.resolver.NoAnswer  # whose constructor has no types
            raise no_answer(response=dns.message.make_response(question))
        texts = [f'"{text}"' for text in found] if kind == "TXT" else list(found)
        return dns.rrset.from_text_list(name, 300, "IN", kind, texts)
