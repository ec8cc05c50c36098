"""The AWS clients of one environment: aioboto3's own, with the engine's time-outs and retries."""

import os
from contextlib import AsyncExitStack
from typing import Any, Final

import aioboto3
from aiobotocore.config import AioConfig

# Seconds that an idle connection is kept for another call. A load balancer may close one, or a freeze of the
# environment may cost one, at any time; the shorter it is kept, the rarer a call that finds it dead.
KEEP_ALIVE: Final = 3.0


def _config(*, read_timeout: float, attempts: int) -> AioConfig:
    """Time-outs in seconds. `attempts`: the first try and those that the SDK makes by itself.

    Requests are made in one place each and tested, so botocore need not validate their parameters: a tenth of
    a call's CPU. Its own user agent is put together anew for every call: another tenth.
    """
    return AioConfig(
        connect_timeout=2,
        read_timeout=read_timeout,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        max_pool_connections=100,
        connector_args={"keepalive_timeout": KEEP_ALIVE},
        parameter_validation=False,
        user_agent="sesmailengine",
    )


CONFIG: Final = _config(read_timeout=5, attempts=3)
# SendEmail has no idempotency token: a second try by the SDK is a second email.
SES_CONFIG: Final = _config(read_timeout=10, attempts=1)
# An ADD has none either: a second try counts twice what the first has counted without an answer.
COUNTER_CONFIG: Final = _config(read_timeout=5, attempts=1)
# An operator waits for as long as a function may run.
INVOKE_CONFIG: Final = _config(read_timeout=70, attempts=3)
# SES takes few calls a second that send nothing, and doesn't document how many.
PATIENT_CONFIG: Final = _config(read_timeout=10, attempts=10)


class Clients:
    """Clients on the loop that they were opened on. Whoever made this closes it.

    A function's environment names credentials, region and endpoint; an operator's options may.

    They open no socket before their first call.
    """

    def __init__(self, session: aioboto3.Session | None = None, endpoint_url: str | None = None) -> None:
        self._stack = AsyncExitStack()
        # Any, because its overloads want the service's name as a literal.
        self._session: Any = session or aioboto3.Session()
        self._endpoint_url = endpoint_url
        self._opened: list[Any] = []

    async def open(self, service: str, config: AioConfig = CONFIG) -> Any:
        """An aiobotocore client. `service`: as boto3 names it; its own AWS_ENDPOINT_URL_… goes first."""
        own = f"AWS_ENDPOINT_URL_{service.upper()}" in os.environ
        client = await self._stack.enter_async_context(
            self._session.client(service, config=config, endpoint_url=None if own else self._endpoint_url)
        )
        self._opened.append(client)
        return client

    async def close_connections(self) -> None:
        """Close every connection, while no call is under way; the next calls open new ones."""
        for client in self._opened:
            await client.close()

    async def close(self) -> None:
        await self._stack.aclose()
