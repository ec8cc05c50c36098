"""What is said to a person of an error that they can mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from engine.errors import EngineError
from engine.operations.stack import StackAddress

TOLD: Final = (EngineError, ClientError, BotoCoreError)
"""Errors with a sentence; all others are bugs."""

_MISSING: Final = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchBucket",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    }
)
_DENIED: Final = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})


@contextmanager
def one_error() -> Iterator[None]:
    """Raise the first error in place of a group, where each error of the group has a sentence."""
    try:
        yield
    except ExceptionGroup as group:
        told, others = group.split(TOLD)
        if told is None or others:
            raise
        error: Exception = told
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from error.__cause__


def origin(error: Exception) -> Exception:
    """What ServiceUnavailable came of, which says more; any other error itself."""
    cause = error.__cause__
    return cause if isinstance(cause, ClientError | BotoCoreError) else error


def sentence_of(error: Exception, address: StackAddress) -> str:
    """What is wrong, where, and what to do."""
    error = origin(error)
    if isinstance(error, NoCredentialsError):
        return (
            "No AWS credentials were found: name a profile by --profile, or log in (`aws sso login`). A local"
            " environment takes any."
        )
    if not isinstance(error, ClientError):
        return str(error)
    code = error.response["Error"]["Code"]
    where = f"region {address.region}" if address.region else "the region in use"
    if code in _MISSING:
        return (
            f"{error.operation_name} found no such resource of the stack {address.stack!r} in {where}: check"
            " --stack, --region and --profile."
        )
    if code in _DENIED:
        return (
            f"These credentials may not call {error.operation_name}. Attach the managed policy"
            f" {address.stack}-Support to look, and {address.stack}-Operator besides to act."
        )
    return f"AWS refused {error.operation_name}: {code}: {error.response['Error'].get('Message', '')}"
