"""What a function takes from the machine that it runs on: clocks, dice, the log.

Lambda's are the defaults. A simulation brings its own, and drives everything else as it is deployed.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from engine.rate.shared_state import uniform
from engine.telemetry import PowertoolsTelemetry


@dataclass(frozen=True, kw_only=True)
class Host:
    """`clock` dates rows and events; `time`, in epoch seconds, is what the rate and the caches go by.

    `uniform`: a number between two others, at random; `pick`: one below the number given. `telemetry` makes
    one for a function, an environment and a log level.
    """

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    time: Callable[[], float] = time.time
    new_claim_id: Callable[[], str] = lambda: uuid4().hex
    uniform: Callable[[float, float], float] = uniform
    pick: Callable[[int], int] = secrets.randbelow
    telemetry: Callable[[str, str, str], PowertoolsTelemetry] = PowertoolsTelemetry


LAMBDA = Host()
