"""The headers by which a recipient unsubscribes."""

from engine.schemas.request import Unsubscribe


def unsubscribe_headers(unsubscribe: Unsubscribe | None) -> tuple[tuple[str, str], ...]:
    """List-Unsubscribe (RFC 2369) and, for an https url, List-Unsubscribe-Post (RFC 8058, section 3.1)."""
    if unsubscribe is None:
        return ()
    ways = [unsubscribe.url] if unsubscribe.url else []
    if unsubscribe.mailto:
        ways.append(f"mailto:{without_scheme(unsubscribe.mailto)}")
    listed = ("List-Unsubscribe", ", ".join(f"<{way}>" for way in ways))
    if unsubscribe.url and unsubscribe.url.lower().startswith("https:"):
        return listed, ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
    return (listed,)


def without_scheme(mailto: str) -> str:
    """The address (and query) of a mailto, with or without its scheme."""
    return mailto[7:] if mailto[:7].lower() == "mailto:" else mailto
