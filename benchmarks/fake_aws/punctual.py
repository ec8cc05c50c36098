"""How long the world's servers take themselves, seen from a bare socket, so that it can be taken off.

A profile says when an answer arrives at whoever asked. What our servers spend on reading and writing HTTP
comes on top of the wait and is no part of AWS; with four services in a row it would pass for the engine's.
"""

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.fake_aws.latencies import Latencies
from benchmarks.fake_aws.web import HOST

_TIMES: Final = 15
_PATIENCE: Final = 5.0  # seconds
_DYNAMODB: Final = ("DynamoDB_20120810.GetItem", b'{"TableName":"t","Key":{"pk":{"S":"nothing"}}}')
_EVENTS: Final = ("AWSEvents.PutEvents", b'{"Entries":[{}]}')
_SQS: Final = ("AmazonSQS.SendMessage", b"{}")
_REQUESTS: Final = {
    "dynamodb": ("POST", "/", *_DYNAMODB),
    "events": ("POST", "/", *_EVENTS),
    "sqs": ("POST", "/", *_SQS),
    "s3": ("GET", "/bucket/templates/measure/template.txt", "", b""),
    "ses": ("GET", "/v2/email/account", "", b""),
}


async def own_time(latencies: Latencies, stub: int, ses: int) -> dict[str, float]:
    """Seconds by service, over what the profile says; `stub` and `ses` are the ports of the two servers."""
    return await asyncio.to_thread(_measure, latencies, {"ses": ses}, stub)


def _measure(latencies: Latencies, ports: dict[str, int], stub: int) -> dict[str, float]:
    found = {}
    for service, (method, path, target, body) in _REQUESTS.items():
        if not latencies.of(service):  # nothing to take it off
            continue
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n"
        head += f"X-Amz-Target: {target}\r\n\r\n" if target else "\r\n"
        # The quickest: whatever else the machine did meanwhile is not the servers', and an answer must never
        # come too soon.
        quickest = min(_round_trips(ports.get(service, stub), head.encode() + body))
        found[service] = max(0.0, quickest - latencies.of(service))
    return found


def _round_trips(port: int, request: bytes) -> Iterator[float]:
    with socket.create_connection((HOST, port), _PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(_TIMES):
            began = time.perf_counter()
            connection.sendall(request)
            if not connection.recv(65_536):
                raise ConnectionError(f"the server at port {port} hung up on {request!r}")
            yield time.perf_counter() - began
