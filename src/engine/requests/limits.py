"""How large an email may be."""

from typing import Final

# SES API v2 takes 40 MB a message, after encoding:
# https://docs.aws.amazon.com/ses/latest/dg/quotas.html
MAX_MESSAGE_BYTES: Final = 40_000_000


def encoded_size(content: int) -> int:
    """What `content` bytes take in base64, with a line break (two bytes) every 76 characters (RFC 2045)."""
    characters = 4 * -(-content // 3)
    return characters + 2 * -(-characters // 76)
