"""The quick way of calling AWS sends what botocore would have sent."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aioboto3
import aiobotocore.session
import botocore.auth
import pytest
from aiobotocore.awsrequest import AioAWSResponse
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError
from botocore.model import ServiceModel
from botocore.serialize import JSONSerializer
from hypothesis import given
from hypothesis import strategies as st

from engine.aws.quick_calls import KeptKeyS3SigV4, KeptKeySigV4, QuickJson, quicken
from engine.aws.service_models import quick_loader
from engine.bootstrap.runtime import CONFIG

LOADER = quick_loader(None)  # one for all tests: it keeps what it has read
PUT_ITEM = ServiceModel(LOADER.load_service_model("dynamodb", "service-2")).operation_model("PutItem")
MORNING = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("dynamodb", "put_item", {"TableName": "t", "Item": {"pk": {"S": "é"}, "body": {"B": b"\x00\xff"}}}),
    ("dynamodb", "batch_get_item", {"RequestItems": {"t": {"Keys": [{"pk": {"S": "a"}}]}}}),
    (
        "dynamodb",
        "batch_execute_statement",
        {"Statements": [{"Statement": "INSERT …", "Parameters": [{"N": "1"}]}]},
    ),
    (
        "sesv2",
        "send_email",
        {
            "Content": {
                "Simple": {
                    "Subject": {"Data": "“Hi”"},
                    "Body": {"Html": {"Data": "<p>\n</p>"}},
                    "Attachments": [{"FileName": "a.pdf", "RawContent": b"%PDF"}],
                }
            }
        },
    ),
    ("sesv2", "get_account", {}),
    ("events", "put_events", {"Entries": [{"Source": "s", "DetailType": "d", "Detail": "{}"}]}),
    ("sqs", "send_message", {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/1/q", "MessageBody": "m"}),
    ("s3", "get_object", {"Bucket": "b", "Key": "templates/a b/template.html"}),
]


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The time that requests are signed at; a test may put another in its place."""
    times = [MORNING]
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: times[0])
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SESV2"):
        monkeypatch.delenv(name, raising=False)
    return times


class Answered:
    """The raw response of a service that has nothing to say."""

    async def read(self) -> bytes:
        return b"{}"


@dataclass
class Wire:
    """Takes what a client would send, instead of the network."""

    requests: list[Any] = field(default_factory=list)

    def take(self, request: Any, **_: Any) -> AioAWSResponse:
        self.requests.append(request)
        return AioAWSResponse(request.url, 200, HTTPHeaders(), Answered())


@asynccontextmanager
async def client(service: str, wire: Wire, *, quick: bool, token: str | None = None) -> AsyncIterator[Any]:
    core = aiobotocore.session.get_session()
    core.register_component("data_loader", LOADER)
    if quick:
        quicken(core)
    session: Any = aioboto3.Session(
        botocore_session=core,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        aws_session_token=token,
        region_name="eu-west-1",
    )
    async with session.client(service, config=CONFIG) as opened:
        opened.meta.events.register("before-send", wire.take)
        yield opened


async def sent(service: str, operation: str, parameters: Mapping[str, Any], **options: Any) -> Any:
    wire = Wire()
    async with client(service, wire, **options) as opened:
        await getattr(opened, operation)(**parameters)
    return wire.requests[0]


def told(request: Any) -> tuple[str, str, Any, dict[str, Any]]:
    """What AWS reads of a request, but for how its JSON is spaced and hence its signature."""
    body = json.loads(request.body) if request.body else None
    unlike = {"Authorization", "Content-Length", "amz-sdk-invocation-id"}
    headers = {name: value for name, value in request.headers.items() if name not in unlike}
    return request.method, request.url, body, headers


@pytest.mark.parametrize(("service", "operation", "parameters"), CALLS, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("token", [None, "session-token"])
async def test_a_request_says_the_same_and_its_signature_fits(
    service: str, operation: str, parameters: dict[str, Any], token: str | None
) -> None:
    slow = await sent(service, operation, parameters, quick=False, token=token)
    quick = await sent(service, operation, parameters, quick=True, token=token)
    assert told(quick) == told(slow)
    assert quick.headers["Authorization"] == signed_by_botocore(quick, service, token)


def signed_by_botocore(request: Any, service: str, token: str | None) -> bytes:
    headers = {
        name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
    }
    again = AWSRequest(method=request.method, url=request.url, data=request.body, headers=headers)
    kind = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    name = {"sesv2": "ses"}.get(service, service)
    for late in ("Content-Length", "amz-sdk-invocation-id", "amz-sdk-request"):
        del again.headers[late]  # come once it has been signed
    kind(ReadOnlyCredentials("key", "secret", token), name, "eu-west-1").add_auth(again)
    authorization: str = again.headers["Authorization"]
    return authorization.encode()


async def test_the_endpoint_is_worked_out_once_for_each_client() -> None:
    asked: list[str] = []
    wire = Wire()
    async with client("dynamodb", wire, quick=True) as dynamodb:
        dynamodb.meta.events.register(
            "before-endpoint-resolution", lambda model, **_: asked.append(model.name)
        )
        await dynamodb.get_item(TableName="one", Key={"pk": {"S": "1"}})
        await dynamodb.put_item(TableName="two", Item={"pk": {"S": "1"}})
    assert asked == ["GetItem"]
    assert [request.url for request in wire.requests] == ["https://dynamodb.eu-west-1.amazonaws.com/"] * 2


async def test_each_bucket_has_its_own_endpoint() -> None:
    wire = Wire()
    async with client("s3", wire, quick=True) as s3:
        for bucket in ("one", "two", "one"):
            await s3.get_object(Bucket=bucket, Key="templates/welcome/template.html")
    hosts = [
        request.url.removesuffix(".s3.eu-west-1.amazonaws.com/templates/welcome/template.html")
        for request in wire.requests
    ]
    assert hosts == ["https://one", "https://two", "https://one"]


async def test_an_endpoint_of_ones_own_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    request = await sent("sesv2", "send_email", {"FromEmailAddress": "a@b.example"}, quick=True)
    assert request.url == "http://localhost:4566/v2/email/outbound-emails"
    assert request.headers["Authorization"] == signed_by_botocore(request, "sesv2", None)


async def test_a_new_day_has_a_new_signing_key(now: list[datetime]) -> None:
    wire = Wire()
    async with client("dynamodb", wire, quick=True) as dynamodb:
        for moment in (MORNING, datetime(2026, 3, 3, tzinfo=UTC)):
            now[0] = moment
            await dynamodb.get_item(TableName="t", Key={"pk": {"S": "1"}})
            request = wire.requests[-1]
            assert request.headers["Authorization"] == signed_by_botocore(request, "dynamodb", None)


@given(value=st.text(st.characters()))  # lone surrogates too
def test_any_text_arrives_as_it_would_from_botocore(value: str) -> None:
    """JSON may be written in more than one way, but it must be read as the same."""
    item = {"TableName": "t", "Item": {"pk": {"S": value}}}
    quick, slow = QuickJson(), JSONSerializer()
    assert json.loads(quick.serialize_to_request(item, PUT_ITEM)["body"]) == json.loads(
        slow.serialize_to_request(item, PUT_ITEM)["body"]
    )


HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "X-Amz-Target", "X-Custom", "User-Agent", "X-Amz-Content-SHA256"]),
    st.text("ab \t=/;,", max_size=12),
)
URLS = st.sampled_from(
    [
        "https://dynamodb.eu-west-1.amazonaws.com/",
        "https://DynamoDB.eu-west-1.amazonaws.com:443/",
        "https://email.eu-west-1.amazonaws.com:8443/v2/email/outbound-emails",
        "http://127.0.0.1:4566",
        "http://[::1]:4566/",
        "https://host.example/a//b/../c",
        "https://bucket.host.example/templates/order-1.0/template.html",
        "https://host.example/with%20escape/and~tilde",
        "https://host.example/?b=2&a=1",
    ]
)


@pytest.mark.parametrize(
    ("kind", "botocores"),
    [(KeptKeySigV4, botocore.auth.SigV4Auth), (KeptKeyS3SigV4, botocore.auth.S3SigV4Auth)],
)
@given(url=URLS, headers=HEADERS, body=st.binary(max_size=20), method=st.sampled_from(["GET", "POST"]))
def test_whatever_the_request_its_signature_is_botocores(  # noqa: PLR0917 - what a request is made of
    kind: Any, botocores: Any, url: str, headers: dict[str, str], body: bytes, method: str
) -> None:
    authorizations = []
    for signer in (kind, botocores):
        request = AWSRequest(method=method, url=url, data=body, headers=headers)
        signer(ReadOnlyCredentials("key", "secret", "token"), "dynamodb", "eu-west-1").add_auth(request)
        authorizations.append(request.headers["Authorization"])
    assert authorizations[0] == authorizations[1]


async def test_credentials_that_are_missing_are_missed_as_ever() -> None:
    request = AWSRequest(method="POST", url="https://dynamodb.eu-west-1.amazonaws.com/", data=b"{}")
    with pytest.raises(NoCredentialsError):
        KeptKeySigV4(None, "dynamodb", "eu-west-1").add_auth(request)
