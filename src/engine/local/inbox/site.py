"""What the pages share: where mail comes from, the stack behind it, the layout around them."""

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from msgspec.structs import asdict

from engine.local.console.desk import Desk
from engine.local.inbox.mail import MailSource
from engine.local.ses.faults import FaultPlan
from engine.local.ses.simulator import Simulator
from engine.local.unsubscribing import reachable
from engine.local.web.pages import Watchers, page, page_environment
from engine.operations.timeline import TONES, label_of


@dataclass(frozen=True, kw_only=True)
class Site:
    """`part`: what this is, beside the name. `base`: what every address begins with; it may hold a token.

    `simulator`: where mail is simulated. `desk`: None where there is no stack to operate.
    """

    source: MailSource
    watchers: Watchers
    part: str
    base: str = ""
    simulator: Simulator | None = None
    desk: Desk | None = None

    def reachable(self, text: str) -> str:
        """A text whose links to the stack's own pages lead to where they are answered."""
        endpoint = self.desk.stack.address.endpoint_url if self.desk and self.desk.stack else None
        return reachable(text, endpoint) if endpoint else text

    def faults(self) -> list[str]:
        """What the simulated SES does wrong on request."""
        if self.simulator is None:
            return []
        usual = asdict(FaultPlan())
        plan = asdict(self.simulator.faults.plan)
        return [f"{name.replace('_', ' ')}: {value}" for name, value in plan.items() if value != usual[name]]


SITE: Final = web.AppKey("site", Site)

_TEMPLATES: Final = page_environment("engine.local.inbox", "templates")
_TEMPLATES.globals.update(label_of=label_of, tones=TONES)


def render(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    site = request.app[SITE]
    text = _TEMPLATES.get_template(template).render(
        site=site,
        base=site.base,
        place=request.path.removeprefix(site.base),
        search=request.query.get("q", ""),
        account=site.simulator.account_status() if site.simulator else None,
        **values,
    )
    return page(text, status)
