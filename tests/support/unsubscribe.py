"""The hosted unsubscribe page: its environment, its links, and requests as Lambda hands them over."""

import base64
import json
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import boto3  # type: ignore[import-untyped]  # a test looks at answers as plain JSON
import pytest
from tests.support.cloud import Cloud

from engine.consent.links import Subscription, UnsubscribeLinks
from engine.handlers import unsubscribe

ADA: Final = Subscription("news", "ada@example.com")
ONE_CLICK: Final = "List-Unsubscribe=One-Click"
FORM: Final = "application/x-www-form-urlencoded"
LINKS: Final = UnsubscribeLinks("https://page.example/", ["old", "new"])


def host(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the page its secret and its topics; whoever calls closes `unsubscribe.environment`."""
    monkeypatch.setenv("UNSUBSCRIBE_SECRET_ARN", make_secret(cloud))
    monkeypatch.setenv("UNSUBSCRIBE_TOPICS", "news=The <News>,offers=Offers")


def make_secret(cloud: Cloud) -> str:
    """What links are signed with; its ARN."""
    secrets = boto3.client("secretsmanager", endpoint_url=cloud.endpoint)
    secret = json.dumps({"current": "new", "previous": "old"})
    arn: str = secrets.create_secret(Name=cloud.name("Unsubscribe"), SecretString=secret)["ARN"]
    return arn


def request(
    method: str, url: str, body: str = "", *, encoded: bool = False, **headers: str
) -> dict[str, Any]:
    """One request to the function URL, in Lambda's payload format 2.0."""
    parts = urlsplit(url)
    query = parts.query
    return {
        "version": "2.0",
        "rawPath": parts.path or "/",
        "rawQueryString": query,
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "queryStringParameters": dict(parse_qsl(query)),
        "requestContext": {"http": {"method": method, "path": parts.path or "/"}, "stage": "$default"},
        "body": base64.b64encode(body.encode()).decode() if encoded else body,
        "isBase64Encoded": encoded,
    }


def ask(
    method: str, url: str, body: str = "", *, encoded: bool = False, **headers: str
) -> tuple[int, str, dict[str, str]]:
    """The status, page and headers that answer it."""
    answer = unsubscribe.handler(request(method, url, body, encoded=encoded, **headers))
    return answer["statusCode"], answer["body"], answer["headers"]
