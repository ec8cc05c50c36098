"""The sender with plain boto3, its steps one after the other or in thread pools.

Written as a competent engineer would: clients made once at import, parsed templates kept for five minutes,
conditional claim, suppression and quota checks, tracking, status event. What the engine does beyond that
(rate gate, address checks, unknown outcomes) is left out, in the peers' favour.
"""

import hashlib
import json
import logging
import os
import time
import uuid
import zlib
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import boto3  # type: ignore[import-untyped] # the stubs here are aioboto3's
from botocore.config import Config
from jinja2 import Environment

CONFIG = Config(max_pool_connections=64, retries={"total_max_attempts": 3, "mode": "standard"})
CACHE_SECONDS = 300
FILES = ("template.html", "template.txt", "metadata.json")

dynamodb = boto3.client("dynamodb", config=CONFIG)
s3 = boto3.client("s3", config=CONFIG)
ses = boto3.client("sesv2", config=CONFIG.merge(Config(retries={"total_max_attempts": 1})))
events = boto3.client("events", config=CONFIG)
html = Environment(autoescape=True)
plain = Environment(autoescape=False)  # noqa: S701 - subject and text are no HTML
templates: dict[str, tuple[float, Any]] = {}

log = logging.getLogger()
log.setLevel(logging.INFO)


class AtOnce(Executor):
    """Runs what it is given where it is given."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


# Two pools: an email that waits for its own steps in the pool it runs in would block it for good.
email_pool = ThreadPoolExecutor(16, "email")
step_pool = ThreadPoolExecutor(48, "step")
at_once = AtOnce()


def threads(event: dict[str, Any], context: Any) -> Any:  # noqa: ARG001 - Lambda's signature
    """The handler that asks an email's questions at the same time, and sends a batch's emails at once."""
    return handle(event, email_pool, step_pool)


def sequential(event: dict[str, Any], context: Any) -> Any:  # noqa: ARG001 - Lambda's signature
    """The handler that takes one step after the other, and one email after the other."""
    return handle(event, at_once, at_once)


def handle(event: dict[str, Any], emails: Executor, steps: Executor) -> Any:
    if "Records" not in event:
        return deliver(event, steps)

    def failed(record: dict[str, Any]) -> bool:
        try:
            deliver(json.loads(record["body"]), steps)
        except Exception:
            log.exception("an email failed")
            return True
        return False

    outcomes = zip(event["Records"], emails.map(failed, event["Records"]), strict=True)
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record, bad in outcomes if bad]}


def deliver(event: dict[str, Any], steps: Executor) -> dict[str, str]:
    email = {**event["detail"], "emailId": str(uuid.uuid5(uuid.NAMESPACE_URL, event["source"] + event["id"]))}
    claimed = steps.submit(claim, email)
    suppressed = steps.submit(is_suppressed, email)
    over_quota = steps.submit(is_over_quota)
    kept = steps.submit(keep, email)
    until, template = templates.get(email["templateName"], (0.0, None))
    if until < time.monotonic():
        objects = [steps.submit(read_object, email["templateName"], file) for file in FILES]
        template = compile_template(*(found.result() for found in objects))
        templates[email["templateName"]] = (time.monotonic() + CACHE_SECONDS, template)
    claimed.result()
    if suppressed.result() or over_quota.result():
        record(email, "failed", "")
        publish(email, "failed")
        return {"status": "failed"}
    kept.result()
    sent = (email, "sent", send(email, template))
    for step in [steps.submit(record, *sent), steps.submit(count), steps.submit(publish, *sent[:2])]:
        step.result()
    log.info(json.dumps({"emailId": email["emailId"], "status": "sent"}))
    return {"status": "sent"}


def claim(email: dict[str, Any]) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    dynamodb.put_item(
        TableName=os.environ["TRACKING_TABLE"],
        Item={
            "emailId": {"S": email["emailId"]},
            "toEmail": {"S": email["to"]},
            "status": {"S": "sending"},
            "statusRank": {"N": "0"},
            "timestamp": {"S": now},
            "datePartition": {"S": now[:10]},
            "templateName": {"S": email["templateName"]},
            "requestHash": {"S": hashlib.sha256(json.dumps(email).encode()).hexdigest()},
            "ttl": {"N": str(int(time.time()) + 90 * 86400)},
        },
        ConditionExpression="attribute_not_exists(emailId)",
    )


def keep(email: dict[str, Any]) -> None:
    """Keep the request for a soft-bounce retry."""
    item = {
        "pk": {"S": f"payload#{email['emailId']}"},
        "body": {"B": zlib.compress(json.dumps(email).encode(), 1)},
        "ttl": {"N": str(int(time.time()) + 4 * 86400)},
    }
    dynamodb.put_item(TableName=os.environ["STATE_TABLE"], Item=item)


def is_suppressed(email: dict[str, Any]) -> bool:
    return bool(read_items(os.environ["SUPPRESSION_TABLE"], [{"email": {"S": email["to"].lower()}}]))


def is_over_quota() -> bool:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    items = read_items(os.environ["STATE_TABLE"], [{"pk": {"S": f"quota#{day}#{n}"}} for n in range(4)])
    sends, bounces = (
        sum(int(item[name]["N"]) for item in items if name in item) for name in ("sends", "bounces")
    )
    return sends > 100 and bounces / sends > 0.05


def read_items(table: str, keys: list[Any]) -> list[Any]:
    answer = dynamodb.batch_get_item(RequestItems={table: {"Keys": keys}})
    found: list[Any] = answer["Responses"].get(table, [])
    return found


def read_object(name: str, file: str) -> bytes:
    answer = s3.get_object(Bucket=os.environ["TEMPLATE_BUCKET"], Key=f"templates/{name}/{file}")
    return bytes(answer["Body"].read())


def compile_template(page: bytes, text: bytes, metadata: bytes) -> Any:
    subject = plain.from_string(json.loads(metadata)["subject"])
    return subject, html.from_string(page.decode()), plain.from_string(text.decode())


def send(email: dict[str, Any], template: Any) -> str:
    subject, page, text = (
        {"Data": part.render(email["templateData"]), "Charset": "UTF-8"} for part in template
    )
    answer = ses.send_email(
        FromEmailAddress=f"{os.environ['DEFAULT_SENDER_NAME']} <{os.environ['DEFAULT_SENDER_EMAIL']}>",
        Destination={"ToAddresses": [email["to"]]},
        Content={"Simple": {"Subject": subject, "Body": {"Html": page, "Text": text}}},
        ConfigurationSetName=os.environ["SES_CONFIGURATION_SET"],
        EmailTags=[{"Name": "emailId", "Value": email["emailId"]}],
    )
    return str(answer["MessageId"])


def record(email: dict[str, Any], status: str, message_id: str) -> None:
    dynamodb.update_item(
        TableName=os.environ["TRACKING_TABLE"],
        Key={"emailId": {"S": email["emailId"]}},
        UpdateExpression="SET #status = :status, statusRank = :rank, sesMessageId = :id",
        ConditionExpression="statusRank < :rank",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={
            ":status": {"S": status},
            ":rank": {"N": "1" if status == "sent" else "5"},
            ":id": {"S": message_id},
        },
    )


def count() -> None:
    dynamodb.update_item(
        TableName=os.environ["STATE_TABLE"],
        Key={"pk": {"S": f"quota#{time.strftime('%Y-%m-%d', time.gmtime())}#0"}},
        UpdateExpression="ADD sends :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def publish(email: dict[str, Any], status: str) -> None:
    detail = json.dumps({"emailId": email["emailId"], "to": email["to"], "status": status})
    entry = {"EventBusName": os.environ["EVENT_BUS_NAME"], "Source": "sesmailengine"}
    events.put_events(Entries=[{**entry, "DetailType": "Email Status Changed", "Detail": detail}])
