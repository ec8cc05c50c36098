"""What the simulator's server answers with."""

import uuid
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.local.ses.errors import SesError
from engine.local.ses.simulator import Simulator

SIMULATOR: Final = web.AppKey("simulator", Simulator)


def refusal(error: SesError) -> web.Response:
    response = json_answer({"message": error.message}, status=error.status)
    response.headers["x-amzn-ErrorType"] = error.code
    return response


def json_answer(value: Any, status: int = 200) -> web.Response:
    headers = {"x-amzn-RequestId": str(uuid.uuid4())}
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
