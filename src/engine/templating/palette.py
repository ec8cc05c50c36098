"""The colours that templates make of a brand's: what is legible on it, and shades for either screen."""

import re
from typing import Any, Final

DEFAULT_COLOUR: Final = "#2453d6"
_HEX: Final = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})")


def palette(colour: Any, default: str = DEFAULT_COLOUR) -> dict[str, str]:
    """By the names that sources use; of `default` where `colour` is none. Templates call it."""
    try:
        red, green, blue = parse_hex(colour)
    except ValueError:
        red, green, blue = parse_hex(default)
    light = luminance(red / 255, green / 255, blue / 255)
    accent = _hex(red, green, blue)
    # Contrast with black and with white is the same, 4.58, at a luminance of 0.179.
    on_accent = "#ffffff" if light < 0.179 else "#000000"
    tint = _hex(red * 2 // 5 + 153, green * 2 // 5 + 153, blue * 2 // 5 + 153)
    return {
        "accent": accent,
        "onAccent": on_accent,
        "link": accent if light < 0.15 else "#121826",
        "wash": _hex(red // 10 + 229, green // 10 + 229, blue // 10 + 229),
        "tint": tint,
        "darkWash": _hex(red // 5 + 19, green // 5 + 24, blue // 5 + 31),
        "darkButton": accent if light > 0.1 else tint,
        "onDarkButton": on_accent if light > 0.1 else "#000000",
    }


def parse_hex(colour: Any) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of #rgb or #rrggbb. Raises ValueError for anything else."""
    written = str(colour).strip().lower()
    if not _HEX.fullmatch(written):
        raise ValueError(f"{colour!r} is no colour; expected #rgb or #rrggbb")
    digits = written[1:] if len(written) == 7 else "".join(digit * 2 for digit in written[1:])
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def luminance(red: float, green: float, blue: float) -> float:
    """Relative luminance, of channels from 0 to 1: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    linear = [
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in (red, green, blue)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _hex(red: int, green: int, blue: int) -> str:
    return f"#{red:02x}{green:02x}{blue:02x}"
