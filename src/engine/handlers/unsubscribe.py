"""The hosted unsubscribe page: a function URL, asked by people and by mail programs (RFC 8058)."""

from base64 import b64decode
from collections.abc import Callable, Coroutine
from contextlib import suppress
from email import message_from_bytes
from email.message import Message
from typing import Any, Final
from urllib.parse import parse_qsl

from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver, Response

from engine.bootstrap.runtime import Environment, LambdaContext
from engine.bootstrap.unsubscribe import open_hosted_page
from engine.consent.languages import Texts, choose
from engine.consent.links import TOKEN
from engine.consent.page import HEADERS, message_page
from engine.consent.subscriptions import Action, Answer, SubscriptionPage

environment = Environment(open_hosted_page)
environment.prepare()
app = LambdaFunctionUrlResolver()

LARGEST_BODY: Final = 4096  # bytes; a form of the page has less than a hundred


def handler(event: dict[str, Any], context: LambdaContext | None = None) -> dict[str, Any]:
    """Answer one HTTP request. GET and HEAD change nothing; nothing redirects, and nothing is logged."""
    return app.resolve(event, context)  # type: ignore[arg-type] # Powertools' own type of the context


@app.route("/", ["GET", "HEAD"])
def show() -> Response[str]:
    return _answer(lambda page, token, texts: page.show(token, texts))


@app.post("/")
def change() -> Response[str]:
    body = _body()
    if len(body) > LARGEST_BODY:
        return _page(_refused(413))
    form = _form(body, app.current_event.headers.get("content-type", ""))
    if form.get("List-Unsubscribe") == "One-Click":
        return _answer(lambda page, token, texts: page.one_click(token, texts))
    if form.get("action") in set(Action) and "topic" in form:
        topic, action = form["topic"], Action(form["action"])
        return _answer(lambda page, token, texts: page.act(token, topic, action, texts))
    return _page(_refused(400))


def _refused(status: int) -> Answer:
    texts = _texts()
    return Answer(status, message_page(texts, texts.failed_title, texts.failed))


def _answer(ask: Callable[[SubscriptionPage, str, Texts], Coroutine[Any, Any, Answer]]) -> Response[str]:
    token, texts = app.current_event.query_string_parameters.get(TOKEN, ""), _texts()
    return _page(environment.invoke(lambda hosted: hosted.answer(lambda page: ask(page, token, texts))))


def _page(answer: Answer) -> Response[str]:
    return Response(answer.status, "text/html; charset=utf-8", answer.html, headers=dict(HEADERS))


def _texts() -> Texts:
    return choose(app.current_event.headers.get("accept-language", ""))


def _body() -> bytes:
    """As it was posted. Lambda hands over as base64 what it takes for binary; anything else is no form."""
    body = app.current_event.body or ""
    with suppress(ValueError):
        return b64decode(body) if app.current_event.is_base64_encoded else body.encode()
    return b""


def _form(body: bytes, content_type: str) -> dict[str, str]:
    """The fields of a form, in either encoding that RFC 8058 allows; what is no form has none.

    Some mail programs end the line.
    """
    if not content_type.lower().startswith("multipart/"):
        return dict(parse_qsl(body.decode(errors="replace").strip(), separator="&"))
    header = f"Content-Type: {content_type}\r\n\r\n".encode(errors="replace")
    message = message_from_bytes(header + body)
    parts = [part for part in message.walk() if not part.is_multipart()]
    return {_name(part): _text(part).strip() for part in parts}


def _name(part: Message) -> str:
    return str(part.get_param("name", header="content-disposition"))


def _text(part: Message) -> str:
    """Whatever type and charset it claims: the fields of a form are plain words."""
    content = part.get_payload(decode=True)
    return content.decode(errors="replace") if isinstance(content, bytes) else ""
