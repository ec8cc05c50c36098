"""How long the services take to answer, by profile."""

from pathlib import Path
from typing import Annotated, Final

import msgspec

Milliseconds = Annotated[float, msgspec.Meta(gt=0)]


class Latencies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Milliseconds from a request to its answer; the network on the way is part of it."""

    name: str
    dynamodb: Milliseconds
    s3: Milliseconds
    ses: Milliseconds
    sqs: Milliseconds
    events: Milliseconds

    def of(self, service: str) -> float:
        """Seconds."""
        return float(getattr(self, service)) / 1000


# What a function sees in the region of its tables. EventBridge is taken to be like SQS.
IN_REGION: Final = Latencies(name="in-region", dynamodb=5, s3=15, ses=60, sqs=8, events=8)


def read_latencies(file: Path) -> Latencies:
    """A profile from a TOML or JSON file with the fields of `Latencies`.

    Raises msgspec.ValidationError naming the field that is wrong.
    """
    decode = msgspec.toml.decode if file.suffix == ".toml" else msgspec.json.decode
    return decode(file.read_bytes(), type=Latencies)
