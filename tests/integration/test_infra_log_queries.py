"""The saved Logs Insights queries: over the functions' logs, and about what the functions write."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.synthesized import deployed

import engine
from infra.constructs.log_queries import QUERIES

LABELS = {"lane", "template", "campaign"}
"""What every line about an email's status has, as `**labels` of the row."""
OF_THE_LOGGER = {"message", "level", "function"}
WORDS = {
    *("and", "as", "asc", "bin", "by", "count", "desc", "fields", "filter", "in", "latest", "sort", "stats"),
    *("sum", "15m"),
}


def recorded() -> Iterator[tuple[str, set[str]]]:
    """Every line that the functions write: its message and its own fields."""
    for path in Path(engine.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "record"
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                yield str(node.args[0].value), {word.arg for word in node.keywords if word.arg}


def test_they_are_saved_under_the_stacks_name_over_both_functions_logs() -> None:
    saved = {
        made["Properties"]["Name"]: made["Properties"]
        for made in deployed().all("AWS::Logs::QueryDefinition").values()
    }
    assert saved.keys() == {f"mail/{name}" for name in QUERIES}
    for query in saved.values():
        assert query["LogGroupNames"] == [
            "/aws/lambda/mail-EmailSender",
            "/aws/lambda/mail-FeedbackProcessor",
        ]


@pytest.mark.parametrize("name", QUERIES)
def test_they_ask_for_nothing_that_no_line_has(name: str) -> None:
    fields = set().union(*(fields for _, fields in recorded())) | LABELS | OF_THE_LOGGER
    text = re.sub(r'"[^"]*"', "", QUERIES[name])
    made_up = set(re.findall(r"\bas (\w+)", text))
    asked = set(re.findall(r"(?<!@)\b[a-z]\w*", text)) - WORDS - made_up
    assert asked
    assert asked <= fields


def test_every_message_that_they_look_for_is_written() -> None:
    messages = {message for message, _ in recorded()}
    wanted = {text for query in QUERIES.values() for text in re.findall(r'"([a-z]+-[a-z-]+)"', query)}
    assert wanted == {"email-settled", "status-reached", "email-deferred"}
    assert wanted <= messages
