"""What a function takes from the machine that it runs on: clients, clocks, dice, the log.

Lambda's are the defaults. A simulation brings its own, and drives everything else as it is deployed.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

from aiobotocore.config import AioConfig

from engine.aws.clients import CONFIG
from engine.rate.account_rate import uniform
from engine.telemetry import PowertoolsTelemetry
from engine.types import Clock, Telemetry


class ClientSource(Protocol):
    """Opens clients of AWS's services, by boto3's names."""

    async def open(self, service: str, config: AioConfig = CONFIG) -> Any: ...


class FunctionTelemetry(Telemetry, Protocol):
    """Keeps facts, and writes the metrics of an invocation when it ends."""

    def flush(self) -> None: ...


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_claim_id() -> str:
    return uuid4().hex


@dataclass(frozen=True, kw_only=True)
class Host:
    """`clock` dates rows and events; `time`, in epoch seconds, is what the rate and the caches go by.

    `uniform`: a number between two others, at random; `pick`: one below the number given. `telemetry` makes
    one for a function, an environment and a log level.
    """

    clock: Clock = utc_now
    time: Callable[[], float] = time.time
    new_claim_id: Callable[[], str] = new_claim_id
    uniform: Callable[[float, float], float] = uniform
    pick: Callable[[int], int] = secrets.randbelow
    telemetry: Callable[[str, str, str], FunctionTelemetry] = PowertoolsTelemetry


LAMBDA = Host()
