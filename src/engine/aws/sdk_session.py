"""An aioboto3 session that does, for five services, what the usual one does for four hundred.

Half of what it takes to make the usual session and its clients is work for others: an import of S3's transfer
manager, a listing of every service there is, twice, and a hundred handlers of events that never come, copied
for each client. The seams are botocore's own: a subclass, and the component that loads data.
"""

from typing import Any, Final

import aioboto3
from aiobotocore.session import AioSession
from botocore import handlers

from engine.aws.service_models import OPERATIONS, quick_loader

# As botocore's events name them: the engine's services, and whom credentials may ask.
_NAMED: Final = frozenset({*OPERATIONS, "eventbridge", "sts", "sso", "sso-oidc"})

_Core: Final[Any] = AioSession  # its stub knows nothing of what a subclass needs


class _CoreSession(_Core):  # type: ignore[misc] # as above
    def _register_builtin_handlers(self, events: Any) -> None:
        """Those of every service and those of ours, in botocore's order."""
        register = {
            None: events.register,
            handlers.REGISTER_FIRST: events.register_first,
            handlers.REGISTER_LAST: events.register_last,
        }
        for name, handler, *place in handlers.BUILTIN_HANDLERS:
            if _concerns_us(name):
                register[place[0] if place else None](name, handler)


class _Session(aioboto3.Session):
    def _register_default_handlers(self) -> None:
        """None: they give clients of S3 `upload_file` and its like, and resources their methods.

        The engine reads objects whole, and asks for no resource.
        """


def quick_session() -> tuple[Any, Any]:
    """An aioboto3 session, and the aiobotocore session in it."""
    core = _CoreSession()
    core.register_component("data_loader", quick_loader(core.get_config_variable("data_path")))
    # Any, because its overloads want the service's name as a literal.
    return _Session(botocore_session=core), core


def _concerns_us(event: str) -> bool:
    """Whether an event can come up: `before-call` and `before-call.s3.PutObject`, never `before-call.ec2`.

    Those of `docs` come up where somebody reads the documentation of a client.
    """
    kind, _, rest = event.partition(".")
    return kind != "docs" and (not rest or rest.partition(".")[0] in _NAMED)
