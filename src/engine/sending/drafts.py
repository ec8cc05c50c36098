"""What the templates make of a batch's requests, written while AWS still thinks about the claims.

Rendering is most of an email's own CPU, and the loop has nothing else to do while the first calls are under
way. What turns out to be a duplicate, or suppressed, was rendered in vain: nobody waited for that.
"""

import asyncio
from collections.abc import Mapping

from engine.domain.failures import Refusal, Refused, ServiceUnavailable
from engine.domain.rendering import Rendered, Template
from engine.ports import TemplateStore
from engine.schemas.request import EmailRequest
from engine.sending.outcomes import attempt_or_refuse, calls_leave

Draft = Rendered | Refusal | Exception
"""An email's content, why there can be none, or what kept it from being written."""


async def write_drafts(templates: TemplateStore, requests: Mapping[str, EmailRequest]) -> dict[str, Draft]:
    """A draft for each request, by the email's id; every template is loaded once."""
    names = sorted({request.template_name for request in requests.values()})
    loaded = await asyncio.gather(*(attempt_or_refuse(templates.load(name)) for name in names))
    found = dict(zip(names, loaded, strict=True))
    await calls_leave()
    return {own_id: _draft(found[request.template_name], request) for own_id, request in requests.items()}


def _draft(template: Template | Refusal | ServiceUnavailable, request: EmailRequest) -> Draft:
    if not isinstance(template, Template):
        return template
    try:
        return template.render(request.template_data)
    except Refused as refused:
        return refused.refusal
    except Exception as error:  # noqa: BLE001 - a bug met by one email, which `decide` raises for it alone
        return error
