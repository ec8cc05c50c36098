"""A stack whose services a test stands in for."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from engine.operations.stack import DeployedStack, StackAddress


class Closed:
    """A service that these credentials may not ask."""

    def __getattr__(self, operation: str) -> Any:
        async def refuse(**_: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, operation)

        return refuse


class Services:
    """Stands in for the clients of a stack: what is not given may not be asked."""

    def __init__(self, services: Mapping[str, Any]) -> None:
        self._services = services

    async def open(self, service: str, _config: Any) -> Any:
        return self._services.get(service, Closed())


def stack_of(services: Mapping[str, Any]) -> DeployedStack:
    """`services`: clients by the names of boto3."""
    return DeployedStack(StackAddress(), Services(services))  # type: ignore[arg-type] # a stand-in
