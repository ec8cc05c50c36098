"""Whether the templates of bulk mail can send it, and whether people can unsubscribe from it."""

import asyncio
from collections.abc import Mapping
from typing import Final

from engine.cli.campaign.send_options import BUS, SendOptions
from engine.cli.campaign.survey import Survey
from engine.consent.links import LINK_VARIABLES
from engine.errors import Refusal
from engine.operations.sentences import TOLD, sentence_of
from engine.operations.stack import connect
from engine.operations.template_metadata import template_metadata, topic_in
from engine.operations.verdict import amount
from engine.templating.template import Metadata

_NAMED: Final = 5
_REMEDY: Final = 'Name one by --topic, in a column `topic`, or as "topic" in the template\'s metadata.json.'


def templates_of(options: SendOptions, found: Survey) -> dict[str, Metadata | Refusal] | str:
    """What the bucket knows of the templates of bulk rows; or why it is not known."""
    if not found.bulk:
        return {}
    if options.bus != f"{options.address.stack}{BUS}":
        return f"{options.bus} is not the bus of the stack {options.address.stack}."

    async def read() -> dict[str, Metadata | Refusal]:
        async with connect(options.address) as stack:
            return await template_metadata(stack, found.bulk)

    try:
        return asyncio.run(read())
    except TOLD as error:
        return sentence_of(error, options.address)


def template_problem(templates: Mapping[str, Metadata | Refusal], found: Survey) -> str | None:
    """Why bulk rows would be accepted and then fail: a template is missing or refused, or lacks variables."""
    for name, given in found.bulk.items():
        template = templates.get(name)
        if template is None:
            return (
                f"The stack has no template {name} (`sesmailengine templates list`), or none with a"
                " metadata.json: its emails would fail."
            )
        if isinstance(template, Refusal):
            return f"Its emails would fail as {template.code}: {template.message}."
        # Those of links the engine gives, where the stack hosts the page.
        if lacking := sorted({*template.required_variables} - {*LINK_VARIABLES} - given):
            return (
                f"Template {name} requires {', '.join(lacking)}, which not every row gives: their emails"
                " would fail as template-error."
            )
    return None


def topic_problem(templates: Mapping[str, Metadata | Refusal] | str, found: Survey) -> str | None:
    """What is wrong with bulk rows that name no topic; None where their templates do."""
    without_topic = found.without_topic
    if not without_topic:
        return None
    if isinstance(templates, str):
        rows = amount(sum(without_topic.values()), "row")
        return (
            f"{rows} of bulk mail without a topic, and whether the templates name one is not known:"
            f" {templates.removesuffix('.')}. {_REMEDY}"
        )
    lacking = {name: rows for name, rows in without_topic.items() if not topic_in(templates[name])}
    if not lacking:
        return None
    largest = sorted(lacking.items(), key=lambda one: -one[1])[:_NAMED]
    shown = [f"{template} ({rows:,})" for template, rows in largest]
    more = f" and {len(lacking) - _NAMED:,} more" if len(lacking) > _NAMED else ""
    rows = amount(sum(lacking.values()), "row")
    return (
        f"Bulk mail without a topic: {rows}, of template {', '.join(shown)}{more}."
        f" Nobody can unsubscribe from it. {_REMEDY}"
    )
