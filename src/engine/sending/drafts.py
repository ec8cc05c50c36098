"""What the templates make of a batch's requests, written while AWS still thinks about the claims.

Rendering is most of an email's own CPU, and the loop has nothing else to do while the first calls are under
way. What turns out to be a duplicate, or suppressed, was rendered in vain: nobody waited for that.
"""

import asyncio
from collections.abc import Collection, Mapping

from engine.errors import Refusal, Refused
from engine.schemas.request import EmailRequest
from engine.sending.ports import TemplateStore
from engine.sending.results import UnderWay, attempt_or_refuse, calls_leave
from engine.templating.template import Rendered, Template

Draft = Rendered | Refusal | Exception
"""An email's content, why there can be none, or what kept it from being written."""


_Found = Template | Refusal | Exception
Loaded = Mapping[str, _Found]
"""Templates by name, or what kept them from being loaded."""


async def begin_loading(
    under_way: UnderWay, templates: TemplateStore, requests: Mapping[int, EmailRequest]
) -> asyncio.Task[Loaded]:
    """Ask for each template once. Those that are not at hand are asked for before this returns."""
    loading = under_way.begin(_load(templates, {request.template_name for request in requests.values()}))
    await asyncio.sleep(0)
    if not loading.done():
        await calls_leave()
    return loading


async def _load(templates: TemplateStore, names: Collection[str]) -> Loaded:
    ordered = sorted(names)
    if len(ordered) == 1:  # nearly always; without a task, one that is at hand is here at once
        return {ordered[0]: await _find(templates, ordered[0])}
    loaded = await asyncio.gather(*(_find(templates, name) for name in ordered))
    return dict(zip(ordered, loaded, strict=True))


async def _find(templates: TemplateStore, name: str) -> _Found:
    try:
        return await attempt_or_refuse(templates.load(name))
    except Exception as error:  # noqa: BLE001 - a bug met by one template, which must not fail others' emails
        return error


async def write_drafts(
    loading: asyncio.Task[Loaded], requests: Mapping[int, EmailRequest]
) -> dict[int, Draft]:
    """A draft for each request, by the email's place in its batch."""
    await calls_leave()
    loaded = await loading
    drafts: dict[int, Draft] = {}
    for place, request in requests.items():
        if drafts:
            await asyncio.sleep(0)  # to read what was answered: a large batch must not look like a time-out
        drafts[place] = _draft(loaded[request.template_name], request)
    return drafts


def _draft(template: _Found, request: EmailRequest) -> Draft:
    if not isinstance(template, Template):
        return template
    try:
        return template.render(request.template_data)
    except Refused as refused:
        return refused.refusal
    except Exception as error:  # noqa: BLE001 - a bug met by one email, which `decide` raises for it alone
        return error
