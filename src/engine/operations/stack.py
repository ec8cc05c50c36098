"""A deployed stack, as an operator reaches it: its resources by name, and clients with their credentials."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aioboto3
from aiobotocore.config import AioConfig

from engine.aws.clients import CONFIG, Clients

DEFAULT_STACK: Final = "sesmailengine"


@dataclass(frozen=True, kw_only=True)
class StackAddress:
    """Which stack, and where. `endpoint_url`: another AWS, such as that of `make local`."""

    stack: str = DEFAULT_STACK
    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None

    @property
    def options(self) -> str:
        """The options that name this stack on a command line, for a command that is suggested."""
        given = {
            "--stack": self.stack if self.stack != DEFAULT_STACK else None,
            "--region": self.region,
            "--profile": self.profile,
            "--endpoint-url": self.endpoint_url,
        }
        return "".join(f" {option} {value}" for option, value in given.items() if value)


class DeployedStack:
    """Names follow from the stack's own; every client is opened once, at its first use."""

    def __init__(self, address: StackAddress, clients: Clients) -> None:
        self.address = address
        self._clients = clients
        self._opened: dict[str, Any] = {}
        self._queue_urls: dict[str, str] = {}

    async def client(self, service: str, config: AioConfig = CONFIG) -> Any:
        """An aiobotocore client. `service`: as boto3 names it. `config`: that of its first use stays."""
        if service not in self._opened:
            self._opened[service] = await self._clients.open(service, config)
        return self._opened[service]

    def resource(self, name: str) -> str:
        """The name of a table, queue, function, bus or topic of the stack, such as `EmailBus`."""
        return f"{self.address.stack}-{name}"

    @property
    def tracking_table(self) -> str:
        return self.resource("EmailTracking")

    @property
    def suppression_table(self) -> str:
        return self.resource("Suppression")

    @property
    def state_table(self) -> str:
        return self.resource("State")

    @property
    def event_bus(self) -> str:
        return self.resource("EmailBus")

    async def queue_url(self, name: str) -> str:
        """The URL of a queue, such as `EmailRetryQueue`. Raises ClientError where there is none."""
        if name not in self._queue_urls:
            sqs = await self.client("sqs")
            answer = await sqs.get_queue_url(QueueName=self.resource(name))
            self._queue_urls[name] = answer["QueueUrl"]
        return self._queue_urls[name]

    async def template_bucket(self) -> str:
        """The bucket's name, which carries the account's number."""
        sts = await self.client("sts")
        return self.resource(f"templates-{(await sts.get_caller_identity())['Account']}")

    async def operator(self) -> str:
        """Who acts, for the record: the ARN of the credentials in use."""
        sts = await self.client("sts")
        return str((await sts.get_caller_identity())["Arn"])


@asynccontextmanager
async def connect(address: StackAddress) -> AsyncIterator[DeployedStack]:
    """Raises BotoCoreError for a profile that is not there; whether the stack is, its first call tells."""
    session = aioboto3.Session(profile_name=address.profile, region_name=address.region)
    clients = Clients(session, address.endpoint_url)
    try:
        yield DeployedStack(address, clients)
    finally:
        await clients.close()
