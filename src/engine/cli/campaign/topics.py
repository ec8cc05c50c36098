"""Bulk mail without a topic, which nobody can unsubscribe from."""

import asyncio
from collections.abc import Mapping
from typing import Final

from engine.cli.campaign.send_options import BUS, SendOptions
from engine.operations.sentences import TOLD, sentence_of
from engine.operations.stack import connect
from engine.operations.topics import topics_of

_NAMED: Final = 5
_REMEDY: Final = 'Name one by --topic, in a column `topic`, or as "topic" in the template\'s metadata.json.'


def topic_problem(options: SendOptions, without_topic: Mapping[str, int]) -> str | None:
    """What is wrong with bulk rows that name no topic; None where their templates do, as the bucket says.

    `without_topic`: how many such rows each template has.
    """
    if not without_topic:
        return None
    if options.bus != f"{options.address.stack}{BUS}":
        return _unknown(without_topic, f"{options.bus} is not the bus of the stack {options.address.stack}.")
    try:
        named = asyncio.run(_topics(options, without_topic))
    except TOLD as error:
        return _unknown(without_topic, sentence_of(error, options.address))
    lacking = {template: rows for template, rows in without_topic.items() if template not in named}
    if not lacking:
        return None
    largest = sorted(lacking.items(), key=lambda one: -one[1])[:_NAMED]
    shown = [f"{template} ({rows:,})" for template, rows in largest]
    more = f" and {len(lacking) - _NAMED:,} more" if len(lacking) > _NAMED else ""
    return (
        f"Bulk mail without a topic: {sum(lacking.values()):,} row(s), of template {', '.join(shown)}{more}."
        f" Nobody can unsubscribe from it. {_REMEDY}"
    )


async def _topics(options: SendOptions, templates: Mapping[str, int]) -> dict[str, str]:
    async with connect(options.address) as stack:
        return await topics_of(stack, templates)


def _unknown(without_topic: Mapping[str, int], why: str) -> str:
    rows = sum(without_topic.values())
    return (
        f"{rows:,} row(s) of bulk mail name no topic, and whether their templates do is not known:"
        f" {why.removesuffix('.')}. {_REMEDY}"
    )
