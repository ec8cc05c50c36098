"""Whatever a template and its data are: a small email comes out, or a refusal that says why."""

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hostile.strategies import MANY, TEXTS, VALUES

from engine.errors import MAX_REFUSAL, FailureCode, Refusal, Refused
from engine.templating.template import MAX_LINE, MAX_PART_BYTES, Rendered, compile_template

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
NAMES = st.sampled_from(
    ["a", "b", "name", "items", "self", "loop", "range", "dict", "__class__", "a.b", "a[0]", "a['x']"]
)
NUMBERS = st.sampled_from(["0", "-1", "1.5", "10**9", "99999999999", "9" * 50, "none", "''", "[]"])
FILTERS = st.sampled_from(
    [
        *(
            "center",
            "indent",
            "batch",
            "slice",
            "wordwrap",
            "truncate",
            "replace('a','b')",
            "join",
            "list",
            "e",
        ),
        *("sort", "sum", "tojson", "urlize", "round", "int", "format", "map('upper')", "select('lower')"),
        *("groupby('a')", "unique", "xmlattr", "striptags", "dictsort", "attr('__class__')", "default('x')"),
        *("first", "length", "nosuch"),
    ]
)
EXPRESSIONS = st.recursive(
    NAMES | NUMBERS,
    lambda inner: st.one_of(
        st.builds("{} | {}({})".format, inner, FILTERS.map(lambda name: name.partition("(")[0]), inner),
        st.builds("{} | {}".format, inner, FILTERS),
        st.builds(
            "({} {} {})".format,
            inner,
            st.sampled_from(["+", "*", "**", "%", "~", "//", "-", "in", "=="]),
            inner,
        ),
        st.builds("{}({}, *{})".format, NAMES, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{}.format({})".format, inner, inner),
        st.builds(
            "({} if {} is {} else {})".format,
            inner,
            inner,
            st.sampled_from(["lower", "defined", "even"]),
            inner,
        ),
    ),
    max_leaves=6,
)
READ = TEXTS.map(lambda text: text.encode(errors="replace").decode())  # as any file is
SOURCES = st.recursive(
    EXPRESSIONS.map("{{{{ {} }}}}".format) | READ,
    lambda inner: st.one_of(
        st.builds("{{% for a in {} %}}{}{{% endfor %}}".format, EXPRESSIONS, inner),
        st.builds("{{% set b %}}{}{{% endset %}}{{{{ b }}}}".format, inner),
        st.builds("{{% if {} %}}{}{{% endif %}}".format, EXPRESSIONS, inner),
        st.builds(
            "{{% macro m(a) %}}{}{{{{ m(a) }}}}{{% endmacro %}}{{{{ m({}) }}}}".format, inner, EXPRESSIONS
        ),
        st.builds("{{% filter {} %}}{}{{% endfilter %}}".format, FILTERS, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=4,
)
DATA = st.dictionaries(
    st.sampled_from(["a", "b", "name", "items", "range", "self", "__class__"]) | TEXTS, VALUES, max_size=4
)
METADATA = st.one_of(
    st.fixed_dictionaries(
        {"subject": SOURCES},
        optional={
            "senderName": SOURCES,
            "senderEmail": SOURCES,
            "requiredVariables": st.lists(TEXTS, max_size=3),
        },
    ),
    st.dictionaries(
        st.sampled_from(["subject", "senderName", "requiredVariables"]) | TEXTS, VALUES, max_size=4
    ),
).map(lambda value: json.dumps(value).encode())


def rendered_or_refusal(html: str, text: str, metadata: bytes, data: dict[str, Any]) -> Rendered | Refusal:
    try:
        return compile_template("t", html, text, metadata).render(data)
    except Refused as refused:
        return refused.refusal


@given(SOURCES, SOURCES, METADATA | st.binary(max_size=40), DATA)
@MANY
def test_a_template_renders_or_is_refused_and_says_why(
    html: str, text: str, metadata: bytes, data: dict[str, Any]
) -> None:
    rendered = rendered_or_refusal(html, text, metadata, data)
    if isinstance(rendered, Refusal):
        assert rendered.code is FailureCode.TEMPLATE_ERROR
        assert rendered.message.startswith("template 't'")
        return
    assert max(len((part or "").encode()) for part in (rendered.html, rendered.text)) <= MAX_PART_BYTES
    for line in (rendered.subject, rendered.sender_name, rendered.sender_email):
        assert line is None or (len(line) <= MAX_LINE and not CONTROL.search(line))


DEEP = 200_000


@pytest.mark.parametrize(
    "source",
    [
        "{{ " + "(" * DEEP + "1" + ")" * DEEP + " }}",
        "{{ 1" + " + 1" * DEEP + " }}",
        "{{ 'a'" + " ~ 'a'" * DEEP + " }}",
        "{{ a" + ".b" * DEEP + " }}",
        "{{ a" + "|e" * DEEP + " }}",
        "{{ " + "not " * DEEP + "1 }}",
        "{{ " + "-" * DEEP + "1 }}",
        "{{ " + "[" * DEEP + "]" * DEEP + " }}",
        "{% if 1 %}" * 20_000 + "{% endif %}" * 20_000,
        "{% for a in [1] %}" * 20_000 + "{% endfor %}" * 20_000,
        "{% if 1 %}" + "{% elif 1 %}" * 20_000 + "{% endif %}",
        "{% set a %}" * 20_000 + "{% endset %}" * 20_000,
        "{% macro m() %}" * 2_000 + "{% endmacro %}" * 2_000,
        "{{ 1 if 1 else " * 20_000 + "1" + " }}" * 20_000,
    ],
    ids=lambda source: source[:24],
)
def test_a_source_as_large_as_may_be_and_as_deep_as_it_gets_is_refused_or_renders(source: str) -> None:
    """The sources of a template have 512 KB at most; no depth may take the process down."""
    with suppress(Refused):
        compile_template("t", source[: 512 * 1024], None, b'{"subject": "x"}').render({"a": {"b": 1}})


@pytest.mark.parametrize("depth", [100, 5_000, 200_000])
def test_metadata_is_read_or_refused_however_deep_it_is(depth: int) -> None:
    metadata = b'{"subject": "x", "own": ' + b"[" * depth + b"]" * depth + b"}"
    with suppress(Refused):
        assert compile_template("t", "x", None, metadata).render({}).subject == "x"


def test_a_refusal_of_a_template_is_short_however_much_it_lacks() -> None:
    required = json.dumps({"subject": "x", "requiredVariables": [f"variable-{n}" for n in range(9_000)]})
    with pytest.raises(Refused) as caught:
        compile_template("t", "x", None, required.encode()).render({})
    assert len(caught.value.refusal.shortened().message) <= MAX_REFUSAL + 2
