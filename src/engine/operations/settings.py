"""How the deployed functions are configured, as far as an operator's answers need it."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from engine.bootstrap.settings import SenderSettings, SettingsError, read_settings
from engine.errors import EngineError
from engine.operations.stack import DeployedStack

SENDER: Final = "EmailSender"
PROCESSOR: Final = "FeedbackProcessor"


class FunctionConfiguration(Struct, frozen=True):
    """A function's environment variables, and its memory in MB."""

    variables: Mapping[str, str]
    memory: int

    def sender_settings(self) -> SenderSettings:
        """Raises EngineError where the function's environment is wrong."""
        try:
            return read_settings(SenderSettings, self.variables)
        except SettingsError as error:
            raise EngineError(str(error)) from error


async def configuration(stack: DeployedStack, function: str) -> FunctionConfiguration:
    """Raises ClientError where the function is not there or may not be looked at."""
    client = await stack.client("lambda")
    answer = await client.get_function_configuration(FunctionName=stack.resource(function))
    variables = answer.get("Environment", {}).get("Variables", {})
    return FunctionConfiguration(variables, answer.get("MemorySize", 0))


async def sender_settings(stack: DeployedStack) -> SenderSettings:
    """Raises ClientError as `configuration` does, and EngineError."""
    return (await configuration(stack, SENDER)).sender_settings()
