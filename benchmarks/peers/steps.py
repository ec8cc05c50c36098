"""The sender's steps with plain boto3: one function a step, for the peers to order as they will.

Written as a competent engineer would: clients made once at import, one parsed template kept for five minutes,
conditional claim, suppression and quota checks, tracking, status event. What the engine does beyond that
(rate gate, address checks, unknown outcomes) is left out, in the peers' favour.
"""

import hashlib
import json
import os
import time
import uuid
import zlib
from typing import Any

import boto3  # type: ignore[import-untyped] # the stubs here are aioboto3's
from botocore.config import Config
from jinja2 import Environment

CONFIG = Config(max_pool_connections=64, retries={"total_max_attempts": 3, "mode": "standard"})
CACHE_SECONDS = 300
NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")

dynamodb = boto3.client("dynamodb", config=CONFIG)
s3 = boto3.client("s3", config=CONFIG)
ses = boto3.client("sesv2", config=CONFIG.merge(Config(retries={"total_max_attempts": 1})))
events = boto3.client("events", config=CONFIG)

html = Environment(autoescape=True)
plain = Environment(autoescape=False)  # noqa: S701 - subject and text are no HTML
_templates: dict[str, tuple[float, Any]] = {}


def read_email(event: dict[str, Any]) -> dict[str, Any]:
    """The request, with an id of its own; of a retry message as well."""
    if "originalEmailData" in event:
        data = event["originalEmailData"]
        return {**data, "emailId": str(uuid.uuid5(NAMESPACE, f"{data['originalEmailId']}/1"))}
    return {**event["detail"], "emailId": str(uuid.uuid5(NAMESPACE, event["source"] + event["id"]))}


def is_needless(email: dict[str, Any]) -> bool:
    """Whether the email that a retry repeats has arrived after all."""
    if "originalEmailId" not in email:
        return False
    answer = dynamodb.get_item(
        TableName=os.environ["TRACKING_TABLE"], Key={"emailId": {"S": email["originalEmailId"]}}
    )
    return int(answer.get("Item", {}).get("statusRank", {"N": "0"})["N"]) > 2


def claim(email: dict[str, Any]) -> None:
    now = time.time()
    dynamodb.put_item(
        TableName=os.environ["TRACKING_TABLE"],
        Item={
            "emailId": {"S": email["emailId"]},
            "toEmail": {"S": email["to"]},
            "status": {"S": "sending"},
            "statusRank": {"N": "0"},
            "timestamp": {"S": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))},
            "datePartition": {"S": time.strftime("%Y-%m-%d", time.gmtime(now))},
            "templateName": {"S": email["templateName"]},
            "requestHash": {"S": hashlib.sha256(json.dumps(email).encode()).hexdigest()},
            "ttl": {"N": str(int(now) + 90 * 86400)},
        },
        ConditionExpression="attribute_not_exists(emailId)",
    )


def keep(email: dict[str, Any]) -> None:
    """Keep the request for a soft-bounce retry."""
    dynamodb.put_item(
        TableName=os.environ["STATE_TABLE"],
        Item={
            "pk": {"S": f"payload#{email['emailId']}"},
            "body": {"B": zlib.compress(json.dumps(email).encode(), 1)},
            "ttl": {"N": str(int(time.time()) + 4 * 86400)},
        },
    )


def is_suppressed(email: dict[str, Any]) -> bool:
    answer = dynamodb.batch_get_item(
        RequestItems={os.environ["SUPPRESSION_TABLE"]: {"Keys": [{"email": {"S": email["to"].lower()}}]}}
    )
    return bool(answer["Responses"].get(os.environ["SUPPRESSION_TABLE"]))


def is_over_quota() -> bool:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    keys = [{"pk": {"S": f"quota#{day}#{shard}"}} for shard in range(4)]
    answer = dynamodb.batch_get_item(RequestItems={os.environ["STATE_TABLE"]: {"Keys": keys}})
    items = answer["Responses"].get(os.environ["STATE_TABLE"], [])
    sends, bounces = (
        sum(int(item[name]["N"]) for item in items if name in item) for name in ("sends", "bounces")
    )
    return sends > 100 and bounces / sends > 0.05


def read_object(name: str, file: str) -> bytes:
    answer = s3.get_object(Bucket=os.environ["TEMPLATE_BUCKET"], Key=f"templates/{name}/{file}")
    return bytes(answer["Body"].read())


FILES = ("template.html", "template.txt", "metadata.json")


def cached_template(name: str) -> Any:
    until, template = _templates.get(name, (0.0, None))
    return template if until > time.monotonic() else None


def compile_template(name: str, sources: list[bytes]) -> Any:
    page, text, metadata = sources
    about = json.loads(metadata)
    template = {
        "html": html.from_string(page.decode()),
        "text": plain.from_string(text.decode()),
        "subject": plain.from_string(about["subject"]),
    }
    _templates[name] = (time.monotonic() + CACHE_SECONDS, template)
    return template


def send(email: dict[str, Any], template: Any) -> str:
    data = email["templateData"]
    answer = ses.send_email(
        FromEmailAddress=f"{os.environ['DEFAULT_SENDER_NAME']} <{os.environ['DEFAULT_SENDER_EMAIL']}>",
        Destination={"ToAddresses": [email["to"]]},
        Content={
            "Simple": {
                "Subject": {"Data": template["subject"].render(data), "Charset": "UTF-8"},
                "Body": {
                    "Html": {"Data": template["html"].render(data), "Charset": "UTF-8"},
                    "Text": {"Data": template["text"].render(data), "Charset": "UTF-8"},
                },
            }
        },
        ConfigurationSetName=os.environ["SES_CONFIGURATION_SET"],
        EmailTags=[{"Name": "emailId", "Value": email["emailId"]}],
    )
    return str(answer["MessageId"])


def record(email: dict[str, Any], status: str, message_id: str = "") -> None:
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
    day = time.strftime("%Y-%m-%d", time.gmtime())
    dynamodb.update_item(
        TableName=os.environ["STATE_TABLE"],
        Key={"pk": {"S": f"quota#{day}#0"}},
        UpdateExpression="ADD sends :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def tell(email: dict[str, Any], status: str) -> None:
    detail = {"emailId": email["emailId"], "to": email["to"], "status": status}
    events.put_events(
        Entries=[
            {
                "EventBusName": os.environ["EVENT_BUS_NAME"],
                "Source": "sesmailengine",
                "DetailType": "Email Status Changed",
                "Detail": json.dumps(detail),
            }
        ]
    )
