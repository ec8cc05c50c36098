"""A person who operates a test's stack by the command line, and what the bus hears of it."""

import json
from typing import Any

from tests.support.cloud import Cloud
from typer.testing import CliRunner, Result

from engine.cli.main import app


class Listener:
    """Events of one kind since the last look."""

    def __init__(self, cloud: Cloud, detail_type: str) -> None:
        self._cloud = cloud
        name = detail_type.replace(" ", "")
        self._url = str(cloud.sqs.create_queue(QueueName=cloud.name(name))["QueueUrl"])
        cloud.route(name, {"detail-type": [detail_type]}, name)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self._cloud.messages(self._url)]

    def __call__(self) -> list[tuple[str, str, str]]:
        """Operator Actions: what was done, to what, and why."""
        told = [event["detail"] for event in self.events()]
        return [(each["action"], each["scope"], each["because"]) for each in told]


class Operator:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def run(self, *words: str) -> Result:
        cloud = self._cloud
        stack = ["--stack", cloud.stack, "--region", "eu-west-1", "--endpoint-url", cloud.endpoint]
        return CliRunner().invoke(app, [*words, *stack], terminal_width=200)

    def listen(self, detail_type: str = "Operator Action") -> Listener:
        return Listener(self._cloud, detail_type)
