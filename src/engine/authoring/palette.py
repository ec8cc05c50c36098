"""The layout's colours, computed from the brand's; sources/colours.html computes the same for a request's."""

import re
from typing import Final

_HEX: Final = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})")


def palette(colour: str) -> dict[str, str]:
    """The colours, by the names that sources use. Raises ValueError if it is neither #rgb nor #rrggbb."""
    given = colour.strip().lower()
    if not _HEX.fullmatch(given):
        raise ValueError(f"{colour!r} is no colour; expected #rgb or #rrggbb")
    digits = given[1:] if len(given) == 7 else "".join(digit * 2 for digit in given[1:])
    red, green, blue = (int(digits[place : place + 2], 16) for place in (0, 2, 4))
    light = luminance(red, green, blue)
    accent = f"#{digits}"
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


def luminance(red: float, green: float, blue: float) -> float:
    """Relative luminance of channels from 0 to 255: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    channels = (red / 255, green / 255, blue / 255)
    linear: list[float] = [
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _hex(red: int, green: int, blue: int) -> str:
    return f"#{red:02x}{green:02x}{blue:02x}"
