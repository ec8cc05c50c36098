"""The colours that the layout makes of a brand's; sources/colours.html reckons the same for a request's."""

import re
from typing import Final

_HEX: Final = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})")


def palette(colour: str) -> dict[str, str]:
    """By the names that sources use. Raises ValueError where it is neither #rgb nor #rrggbb."""
    told = colour.strip().lower()
    if not _HEX.fullmatch(told):
        raise ValueError(f"{colour!r} is no colour; expected #rgb or #rrggbb")
    digits = told[1:] if len(told) == 7 else "".join(digit * 2 for digit in told[1:])
    red, green, blue = (int(digits[place : place + 2], 16) for place in (0, 2, 4))
    light = _luminance(red, green, blue)
    accent = f"#{digits}"
    on_accent = "#ffffff" if light < 0.179 else "#000000"
    tint = _written(red * 2 // 5 + 153, green * 2 // 5 + 153, blue * 2 // 5 + 153)
    return {
        "accent": accent,
        "onAccent": on_accent,
        "link": accent if light < 0.15 else "#121826",
        "wash": _written(red // 10 + 229, green // 10 + 229, blue // 10 + 229),
        "tint": tint,
        "darkWash": _written(red // 5 + 19, green // 5 + 24, blue // 5 + 31),
        "darkButton": accent if light > 0.1 else tint,
        "onDarkButton": on_accent if light > 0.1 else "#000000",
    }


def _luminance(red: int, green: int, blue: int) -> float:
    """Relative luminance, without the straight piece that the standard has for the darkest tenth."""
    linear: list[float] = [((channel + 14) / 269) ** 2.4 for channel in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _written(red: int, green: int, blue: int) -> str:
    return f"#{red:02x}{green:02x}{blue:02x}"
