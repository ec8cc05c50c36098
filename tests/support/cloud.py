"""A deployed stack as a test sees it: made through AWS's own APIs, looked at through them as well."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any
from uuid import uuid4

import boto3  # type: ignore[import-untyped]  # a test looks at answers as plain JSON

WELCOME = {
    "template.html": "<h1>Hello {{ name }}</h1>",
    "template.txt": "Hello {{ name }}",
    "metadata.json": json.dumps({"subject": "Welcome, {{ name }}", "requiredVariables": ["name"]}),
}

# Too much, and too mixed, to be kept beside a claim.
LARGE: dict[str, Any] = {
    "templateData": {"name": "Ada", "text": "".join(sha256(bytes([n])).hexdigest() for n in range(40))}
}


# What the stack's indexes hold besides keys.
PROJECTED = {
    "to-email-timestamp-index": ["templateName"],
    "date-partition-index": ["templateName", "toEmail"],
    "suppression-type-date-index": ["reason"],
}


class Cloud:
    """Tables, bucket, queue and bus with names of their own; status events land in a queue for reading."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.stack = f"test-{uuid4().hex[:12]}"
        self.dynamodb: Any = boto3.client("dynamodb", endpoint_url=endpoint)
        self.s3: Any = boto3.client("s3", endpoint_url=endpoint)
        self.sqs: Any = boto3.client("sqs", endpoint_url=endpoint)
        self.events: Any = boto3.client("events", endpoint_url=endpoint)
        self.bucket = f"{self.stack}-templates"
        self.bus = f"{self.stack}-EmailBus"
        self._make_tables()
        self.s3.create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        self.retry_queue = self._queue("EmailRetryQueue")
        self.bulk_queue = self._queue("BulkEmailQueue")
        self.parked_queue = self._queue("ParkedEmailQueue")
        self._status_queue = self._queue("StatusEvents")
        self._listen()
        self.put_template("welcome", WELCOME)

    def name(self, resource: str) -> str:
        return f"{self.stack}-{resource}"

    def arn(self, queue: str) -> str:
        return f"arn:aws:sqs:eu-west-1:123456789012:{self.name(queue)}"

    def _make_tables(self) -> None:
        suppression_index = ("suppression-type-date-index", "suppressionType", "addedToSuppressionDate")
        self._table("Suppression", "email", [suppression_index])
        self._table("State", "pk")
        self._table(
            "EmailTracking",
            "emailId",
            [
                ("to-email-timestamp-index", "toEmail", "timestamp"),
                ("ses-message-id-index", "sesMessageId", None),
                ("date-partition-index", "datePartition", "timestamp"),
            ],
        )

    def _table(self, resource: str, key: str, indexes: list[tuple[str, str, str | None]] = []) -> None:  # noqa: B006 - never changed
        names = {key} | {name for index in indexes for name in index[1:] if name}
        more: dict[str, Any] = {}
        if indexes:
            more["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": index,
                    "KeySchema": _keys(hash_key, range_key),
                    "Projection": _projection(index),
                }
                for index, hash_key, range_key in indexes
            ]
        self.dynamodb.create_table(
            TableName=self.name(resource),
            KeySchema=_keys(key, None),
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in sorted(names)],
            BillingMode="PAY_PER_REQUEST",
            **more,
        )

    def _queue(self, resource: str) -> str:
        return str(self.sqs.create_queue(QueueName=self.name(resource))["QueueUrl"])

    def _listen(self) -> None:
        self.events.create_event_bus(Name=self.bus)
        self.route("status", {"source": ["sesmailengine"]}, "StatusEvents")

    def route(self, rule: str, pattern: Mapping[str, Any], queue: str) -> None:
        """Let events of the bus that match the pattern come into a queue."""
        self.events.put_rule(Name=rule, EventBusName=self.bus, EventPattern=json.dumps(pattern))
        target = {"Id": "queue", "Arn": self.arn(queue)}
        self.events.put_targets(Rule=rule, EventBusName=self.bus, Targets=[target])

    def route_requests(self) -> None:
        """Let Email Requests come into the bulk queue, as the bulk rule does with bulk mail."""
        self.route("requests", {"detail-type": ["Email Request"]}, "BulkEmailQueue")

    def put_template(self, name: str, files: Mapping[str, str]) -> None:
        for file, text in files.items():
            self.s3.put_object(Bucket=self.bucket, Key=f"templates/{name}/{file}", Body=text.encode())

    def put(self, resource: str, **attributes: Any) -> None:
        self.dynamodb.put_item(
            TableName=self.name(resource),
            Item={
                name: {"N": str(value)} if isinstance(value, int | float) else {"S": value}
                for name, value in attributes.items()
            },
        )

    def put_email(self, own_id: str, asked: str, **attributes: Any) -> None:
        """A row of the ledger: a welcome to Ada that was delivered, unless `attributes` says otherwise."""
        row = {
            "emailId": own_id,
            "originalEmailId": own_id,
            "toEmail": "ada@example.com",
            "originalSource": "shop",
            "status": "delivered",
            "templateName": "welcome",
            "timestamp": asked,
            "datePartition": asked[:10],
        }
        self.put("EmailTracking", **(row | attributes))

    def items(self, resource: str) -> list[dict[str, Any]]:
        found = self.dynamodb.scan(TableName=self.name(resource))["Items"]
        return [{name: _plain(value) for name, value in item.items()} for item in found]

    def rows(self) -> list[dict[str, Any]]:
        return self.items("EmailTracking")

    def row(self) -> dict[str, Any]:
        """The only tracking row."""
        (row,) = self.rows()
        return row

    def status_events(self) -> list[dict[str, Any]]:
        """Details of the status events since the last look, in order."""
        return [json.loads(body)["detail"] for body in self.messages(self._status_queue)]

    def messages(self, queue_url: str) -> list[str]:
        return list(self._drain(queue_url))

    def _drain(self, queue_url: str) -> Iterator[str]:
        """Bodies, delayed ones not included; what is read is gone."""
        while True:
            answer = self.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)
            if not answer.get("Messages"):
                return
            for message in answer["Messages"]:
                self.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                yield message["Body"]

    def delayed(self, queue_url: str) -> int:
        attributes = self.sqs.get_queue_attributes(
            QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessagesDelayed"]
        )
        return int(attributes["Attributes"]["ApproximateNumberOfMessagesDelayed"])


def _keys(hash_key: str, range_key: str | None) -> list[dict[str, str]]:
    keys = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    return keys + ([{"AttributeName": range_key, "KeyType": "RANGE"}] if range_key else [])


def _projection(index: str) -> dict[str, Any]:
    attributes = PROJECTED.get(index)
    if attributes is None:
        return {"ProjectionType": "KEYS_ONLY"}
    return {"ProjectionType": "INCLUDE", "NonKeyAttributes": attributes}


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "N":
        return float(content) if "." in content else int(content)
    if kind == "M":
        return {name: _plain(item) for name, item in content.items()}
    return content


def variables(cloud: Cloud, ses_url: str) -> dict[str, str]:
    """The functions' environment, as the stack sets it."""
    return {
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_ENDPOINT_URL_SESV2": ses_url,
        "TRACKING_TABLE": cloud.name("EmailTracking"),
        "SUPPRESSION_TABLE": cloud.name("Suppression"),
        "STATE_TABLE": cloud.name("State"),
        "TEMPLATE_BUCKET": cloud.bucket,
        "RETRY_QUEUE_URL": cloud.retry_queue,
        "PARKED_QUEUE_URL": cloud.parked_queue,
        "EVENT_BUS_NAME": cloud.bus,
        "SES_CONFIGURATION_SET": cloud.name("ConfigSet"),
        "DEFAULT_SENDER_EMAIL": "no-reply@shop.example",
        "DEFAULT_SENDER_NAME": "The Shop",
        "BOUNCE_RATE_THRESHOLD": "5",
        "DATA_RETENTION_DAYS": "90",
        "SES_MAX_SEND_RATE": "1000",
        "ENVIRONMENT": "test",
        "LOG_LEVEL": "INFO",
    }


def request_event(source: str = "shop", event_id: str | None = None, **detail: Any) -> dict[str, Any]:
    """An Email Request as a rule hands it over; a plain welcome unless `detail` says otherwise."""
    asked = {"to": "ada@example.com", "templateName": "welcome", "templateData": {"name": "Ada"}} | detail
    return {
        "version": "0",
        "id": event_id or str(uuid4()),
        "detail-type": "Email Request",
        "source": source,
        "account": "123456789012",
        "time": "2026-11-24T08:00:00Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": {name: value for name, value in asked.items() if value is not None},
    }


def queue_event(*bodies: object, queue_arn: str = "", receives: int = 1) -> dict[str, Any]:
    """A batch as Lambda's queue poller hands it over; bodies that are no text are put into JSON."""
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": f"receipt-{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": str(receives)},
                "eventSource": "aws:sqs",
                "eventSourceARN": queue_arn,
            }
            for number, body in enumerate(bodies)
        ]
    }


def sns_event(*messages: str) -> dict[str, Any]:
    """Notifications as SNS hands them over."""
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "Sns": {"Type": "Notification", "MessageId": str(uuid4()), "Message": message},
            }
            for message in messages
        ]
    }
