"""A person who operates a test's stack by the command line, and what the bus hears of it."""

import json
from typing import Any

from tests.support.cloud import Cloud
from typer.testing import CliRunner, Result

from engine.cli.main import app


def facts(answer: Result) -> Any:
    """What a command printed for programs."""
    return json.loads(answer.output)


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
    """At a terminal of so many columns where nobody answers questions."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def run(self, *words: str, columns: int = 200) -> Result:
        """Against the test's stack, unless the words name another."""
        cloud, command = self.cloud, [*words]
        where = {"--stack": cloud.stack, "--region": "eu-west-1", "--endpoint-url": cloud.endpoint}
        for option, value in where.items():
            if option not in words:
                command += [option, value]
        environment = {"COLUMNS": str(columns)}
        result = CliRunner().invoke(app, command, env=environment, terminal_width=columns)
        assert not result.exception or isinstance(result.exception, SystemExit), result.exception
        return result

    def facts(self, *words: str) -> Any:
        return facts(self.run(*words, "--json"))

    def listen(self, detail_type: str = "Operator Action") -> Listener:
        return Listener(self.cloud, detail_type)
