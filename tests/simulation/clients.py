"""What an environment, an operator or an application takes from its machine: clients of AWS, and a log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiobotocore.config import AioConfig
from tests.simulation.connection import Connection
from tests.simulation.dynamodb import DynamoDbClient
from tests.simulation.events import EventsClient
from tests.simulation.functions import LambdaClient, Process
from tests.simulation.s3 import S3Client
from tests.simulation.scheduler import SchedulerClient
from tests.simulation.ses import SesClient
from tests.simulation.sqs import SqsClient
from tests.simulation.world import World
from tests.support.log_watch import LOG_WATCH

from engine.aws.clients import CONFIG

if TYPE_CHECKING:
    from tests.simulation.cloud import Cloud

SECRET: Final = '{"current": "of the links", "previous": "of older links"}'


class Telemetry:
    """Facts go into the history, beside what AWS saw."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    def record(self, name: str, **fields: str | float) -> None:
        self._world.usage[f"log {name}"] += 1
        if name == "count-lost":
            for counter in ("sends", "bounces"):
                self._world.usage[f"lost {counter}"] += int(fields.get(counter, 0))
        LOG_WATCH.look(f"{name} {fields}")
        email_id = str(fields.pop("email_id", ""))
        self._world.log(email_id, f"{self._process.name} {name} {fields or ''}")

    def flush(self) -> None:
        pass


class StsClient:
    """One operator's client."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get_caller_identity(self) -> Any:
        who = {"Arn": "arn:aws:iam::123456789012:user/ops"}
        return await self._connection.call("GetCallerIdentity", lambda: who)


class SecretsClient:
    """One environment's client, for the one secret."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get_secret_value(self, SecretId: str) -> Any:  # noqa: ARG002 - there is one
        return await self._connection.call("GetSecretValue", lambda: {"SecretString": SECRET})


class Clients:
    """Stands in for `engine.aws.clients.Clients`, for one environment or operator."""

    def __init__(self, cloud: "Cloud", process: Process) -> None:
        self._cloud = cloud
        self._process = process

    async def open(self, service: str, config: AioConfig = CONFIG) -> Any:
        cloud, process = self._cloud, self._process
        connection = Connection(cloud.world, process, service, config)
        client: Any
        match service:
            case "dynamodb":
                client = DynamoDbClient(cloud.dynamodb, connection)
            case "s3":
                client = S3Client(connection)
            case "sqs":
                client = SqsClient(cloud.by_url, connection, cloud.watch_message)
            case "events":
                client = EventsClient(cloud.bus, connection, cloud.world)
            case "sesv2":
                client = SesClient(cloud.ses, process, connection)
            case "lambda":
                client = LambdaClient(cloud.feedback, connection)
            case "sts":
                client = StsClient(connection)
            case "scheduler":
                client = SchedulerClient(cloud.scheduler, connection)
            case "secretsmanager":
                client = SecretsClient(connection)
            case _:
                raise NotImplementedError(service)
        return client


class Session:
    """Stands in for `aioboto3.Session`, for one application."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @asynccontextmanager
    async def client(self, service: str) -> AsyncIterator[Any]:
        yield await self._clients.open(service)
