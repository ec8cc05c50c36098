"""Templates: compiled once, rendered with a caller's data, which is never code."""

from typing import Any

from msgspec import Struct


class Template(Struct, frozen=True):
    """A compiled template."""

    name: str

    def render(self, data: dict[str, Any]) -> "Rendered":
        raise NotImplementedError


class Rendered(Struct, frozen=True, kw_only=True):
    """What a template made of a request's data."""

    subject: str
    html: str | None
    text: str | None
    sender_email: str | None
    sender_name: str | None


def compile_template(name: str, html: str | None, text: str | None, metadata: bytes) -> Template:
    """Compile the three objects of a template. Raises Refused (`template-error`)."""
    raise NotImplementedError
