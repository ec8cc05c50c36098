"""Another CDK stack of the same account and region: it asks for emails and hears what became of them.

Run it with CDK's CLI: `cdk deploy --app "python examples/another_stack.py"`.
"""

from pathlib import Path

from aws_cdk import App, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

_CONSUMER = Path(__file__).parent / "status_consumer"
_PUBLISHER = """
import boto3, json, os

def handler(event, _context):
    detail = {
        "to": event["email"],
        "templateName": "welcome",
        "templateData": {"userName": event["name"], "companyName": "Northwind"},
        "idempotencyKey": "signup-" + event["id"],
        "metadata": {"order": event["id"]},
    }
    answer = boto3.client("events").put_events(Entries=[{
        "EventBusName": os.environ["EMAIL_BUS"], "Source": "shop", "DetailType": "Email Request",
        "Detail": json.dumps(detail)}])
    assert answer["FailedEntryCount"] == 0, answer
"""


class ShopStack(Stack):
    def __init__(self, scope: Construct, construct_id: str, *, engine: str) -> None:
        """`engine`: the name of the engine's stack."""
        super().__init__(scope, construct_id)
        bus = events.EventBus.from_event_bus_name(self, "EmailBus", f"{engine}-EmailBus")

        publisher = lambda_.Function(
            self,
            "Publisher",
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler="index.handler",
            code=lambda_.Code.from_inline(_PUBLISHER),
            environment={"EMAIL_BUS": bus.event_bus_name},
        )
        bus.grant_put_events_to(publisher)

        consumer = lambda_.Function(
            self,
            "StatusConsumer",
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler="handler.handler",
            code=lambda_.Code.from_asset(str(_CONSUMER)),
        )
        events.Rule(
            self,
            "EmailStatus",
            event_bus=bus,
            # Only the engine may publish this; `originalSource` leaves out what other applications asked for.
            event_pattern=events.EventPattern(
                source=["sesmailengine"],
                detail_type=["Email Status Changed"],
                detail={"originalSource": ["shop"]},
            ),
            targets=[targets.LambdaFunction(consumer)],
        )


if __name__ == "__main__":
    app = App()
    ShopStack(app, "Shop", engine="sesmailengine")
    app.synth()
