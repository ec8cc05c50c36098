"""Values that somebody might send to break a decoder, and JSON as it is really written."""

import json
import os
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# `HOSTILE_EXAMPLES=5000 pytest tests/hostile --hypothesis-profile=search` looks longer than CI has time for,
# and at other examples with every run.
_EXAMPLES: Final = int(os.environ.get("HOSTILE_EXAMPLES", "250"))
MANY: Final = settings(
    max_examples=_EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
FEW: Final = settings(MANY, max_examples=_EXAMPLES // 5)  # where one takes long
# In every text that must not reach the log.
SECRET: Final = "S3CRET"
INJECTED: Final = f"x\r\nBcc: {SECRET}@evil.example\r\n\r\n"

_ODD_TEXTS: Final = (
    *(
        "",
        " ",
        "\x00",
        "\ud800",
        "\udfff\ud800",
        "\ufffe",
        "\u2028",
        "\u202egpj.exe",
        "\u0130" * 50,
        "\ufdfa" * 30,
    ),
    *(
        INJECTED,
        f"=?utf-8?q?=0D=0ABcc:_{SECRET}@evil.example?=",
        f"{SECRET} <a@b.example>",
        f"{SECRET}@b.example",
    ),
    *(
        "a@xn--\u00fc.example",
        "a@xn--",
        "a@\u3002",
        "a@b..c",
        '"a b"@c.example',
        "a@[127.0.0.1]",
        "@",
        "a@" + "\u00fc" * 300,
    ),
    *(
        "{{ 7 * 7 }}",
        "{% for x in range(10**9) %}{% endfor %}",
        "__class__",
        "../../etc/passwd",
        "$(id)",
        "%s%n",
    ),
    *(SECRET * 60, "a" * 4000, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "1e999"),
)
TEXTS: Final = st.text(max_size=20) | st.sampled_from(_ODD_TEXTS)
_NUMBERS: Final = (
    st.integers() | st.floats() | st.sampled_from([0, -1, 2**63, 2**64, 10**30, -(10**300), 1e308, 5e-324])
)
# Numbers that Python's writer would not write so; they stand in the text as they are.
_RAW: Final = ("1e999", "-1e999", "1e-999", "1" * 400, "1" * 4000, "0." + "3" * 400, "NaN", "-Infinity")
_MARK: Final = "raw number "


def nested(depth: int) -> Any:
    """Lists and objects in one another."""
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


_LEAVES: Final = (
    st.none()
    | st.booleans()
    | _NUMBERS
    | TEXTS
    | st.sampled_from(_RAW).map(_MARK.__add__)
    | st.sampled_from([5, 70, 180, 320, 700]).map(nested)
)
VALUES: Final = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


def written(value: object) -> str:
    """JSON of a value, with the odd numbers as they are; lone surrogates as escapes."""
    text = json.dumps(value)
    for number in _RAW:
        text = text.replace(json.dumps(_MARK + number), number)
    return text


def as_lambda_reads(text: str) -> Any:
    """What the runtime hands to the handler. Raises ValueError where it would not come so far."""
    return json.loads(text)
