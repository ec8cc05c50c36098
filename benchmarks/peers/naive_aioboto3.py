"""An async handler as tutorials show it: a session at import, clients for each invocation, step by step."""

import asyncio
import json
import os
import time
import uuid
from contextlib import AsyncExitStack
from typing import Any

import aioboto3
from jinja2 import Environment

session: Any = aioboto3.Session()
html = Environment(autoescape=True)
plain = Environment(autoescape=False)  # noqa: S701 - subject and text are no HTML
SERVICES = ("dynamodb", "s3", "sesv2", "events")


async def deliver(event: dict[str, Any]) -> dict[str, str]:
    email, own_id = event["detail"], str(uuid.uuid5(uuid.NAMESPACE_URL, event["source"] + event["id"]))
    async with AsyncExitStack() as stack:
        dynamodb, s3, ses, events = [
            await stack.enter_async_context(session.client(service)) for service in SERVICES
        ]
        day = time.strftime("%Y-%m-%d", time.gmtime())
        await dynamodb.put_item(
            TableName=os.environ["TRACKING_TABLE"],
            Item={
                "emailId": {"S": own_id},
                "toEmail": {"S": email["to"]},
                "status": {"S": "sending"},
                "datePartition": {"S": day},
            },
            ConditionExpression="attribute_not_exists(emailId)",
        )
        await dynamodb.batch_get_item(
            RequestItems={os.environ["SUPPRESSION_TABLE"]: {"Keys": [{"email": {"S": email["to"].lower()}}]}}
        )
        keys = [{"pk": {"S": f"quota#{day}#{shard}"}} for shard in range(4)]
        await dynamodb.batch_get_item(RequestItems={os.environ["STATE_TABLE"]: {"Keys": keys}})
        sources = []
        for file in ("template.html", "template.txt", "metadata.json"):
            found = await s3.get_object(
                Bucket=os.environ["TEMPLATE_BUCKET"], Key=f"templates/{email['templateName']}/{file}"
            )
            sources.append((await found["Body"].read()).decode())
        await dynamodb.put_item(
            TableName=os.environ["STATE_TABLE"],
            Item={"pk": {"S": f"payload#{own_id}"}, "body": {"S": json.dumps(email)}},
        )
        data = email["templateData"]
        sent = await ses.send_email(
            FromEmailAddress=os.environ["DEFAULT_SENDER_EMAIL"],
            Destination={"ToAddresses": [email["to"]]},
            Content={
                "Simple": {
                    "Subject": {"Data": plain.from_string(json.loads(sources[2])["subject"]).render(data)},
                    "Body": {
                        "Html": {"Data": html.from_string(sources[0]).render(data)},
                        "Text": {"Data": plain.from_string(sources[1]).render(data)},
                    },
                }
            },
            ConfigurationSetName=os.environ["SES_CONFIGURATION_SET"],
        )
        await dynamodb.update_item(
            TableName=os.environ["TRACKING_TABLE"],
            Key={"emailId": {"S": own_id}},
            UpdateExpression="SET #status = :sent, sesMessageId = :id",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":sent": {"S": "sent"}, ":id": {"S": sent["MessageId"]}},
        )
        await dynamodb.update_item(
            TableName=os.environ["STATE_TABLE"],
            Key={"pk": {"S": f"quota#{day}#0"}},
            UpdateExpression="ADD sends :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
        detail = json.dumps({"emailId": own_id, "to": email["to"], "status": "sent"})
        entry = {"EventBusName": os.environ["EVENT_BUS_NAME"], "Source": "naive", "DetailType": "Sent"}
        await events.put_events(Entries=[{**entry, "Detail": detail}])
    return {"status": "sent"}


def handler(event: dict[str, Any], context: Any) -> dict[str, str]:  # noqa: ARG001 - Lambda's signature
    return asyncio.run(deliver(event))
