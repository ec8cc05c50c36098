"""The quick lexer gives Jinja's parser what Jinja's own would, or nothing at all."""

import json
from pathlib import Path
from typing import Final

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.lexer import Token

from engine.templating.template_lexer import tokens_of

_JINJA: Final = jinja2.Environment(autoescape=True)
# One a line would be a long list.
# fmt: off
_PIECES: Final = [
    "{{", "}}", "{%", "%}", "{#", "#}", "{{-", "-}}", "{%-", "-%}", "{%+", "+%}", "{#-", "-#}",
    "+", "-", "x", "if", "raw", "endraw", "0", "1", "09", "1.5", "1.", ".5", "1.5.5", "1_0",
    "0x1f", "1e5", ".", "..", "'a'", '"b\\n"', "'\\'", "'", '"', "(", ")", "[", "]", "{",
    "}", "|", "~", "**", "//", "==", "!=", "=", "<", ":", ",", ";", "@", "$",
    "é", "٣", "·", "²", " ", "\n", "\r\n", "\r", "\t", "\u00a0",
]
# fmt: on
_SOURCES: Final = st.lists(st.sampled_from(_PIECES), max_size=12).map("".join)


def jinjas(source: str) -> list[Token]:
    return list(_JINJA.lexer.wrap(_JINJA.lexer.tokeniter(source, None)))


@given(st.one_of(_SOURCES, _SOURCES.map("{{{{{}}}}}".format), _SOURCES.map("a\n{{% {} %}}\nb".format)))
def test_tokens_are_jinjas_or_left_to_it(source: str) -> None:
    tokens = tokens_of(source)
    assert tokens is None or tokens == jinjas(source)


@pytest.mark.parametrize(
    "folder", sorted(Path("starter_templates").glob("*/")), ids=lambda folder: folder.name
)
def test_no_starter_template_needs_jinjas_lexer(folder: Path) -> None:
    subject = json.loads((folder / "metadata.json").read_text())["subject"]
    for source in (subject, (folder / "template.html").read_text(), (folder / "template.txt").read_text()):
        assert tokens_of(source) == jinjas(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ {'a': {}}['a'] }}{{ [1][0] }}{{ (1) - 2 }}",
        "a \n{%- if x -%} \n b {%+ endif +%} {#- c\n -#} \n d\n",
        "{{ 'it''s' }}{{ \"é\\u00e9\\n\" }}{{ 'two\nlines' }}\n{{ 1.5 + 10 }}{{ x.0.y }}",
        "{{ a ** b // c != d }}{{ a<b }}{{-1}}{{ x|f(y=1)[1:2] }}",
        "",
        "\n",
        "no tag } } at { all\r\n",
    ],
)
def test_what_templates_hold_every_day_is_lexed_here(source: str) -> None:
    assert tokens_of(source) == jinjas(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ x",
        "{# x",
        "{{ x %}",
        "{{ (] }}",
        "{{ ) }}",
        "{{ ² }}",
        "{{ '\\x' }}",
        "{{ ? }}",
        "{{ 1e5 }}",
        "{% raw %}",
        "{{ " + "9" * 5_000 + " }}",
    ],
)
def test_errors_and_rare_spellings_are_left_to_jinja(source: str) -> None:
    assert tokens_of(source) is None
