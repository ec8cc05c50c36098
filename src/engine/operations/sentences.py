"""What is said to a person of an error that they can mend."""

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


def sentence_of(error: Exception, address: StackAddress) -> str:
    """What is wrong, where, and what to do."""
    # ServiceUnavailable says less than what it came of.
    if isinstance(error.__cause__, ClientError | BotoCoreError):
        error = error.__cause__
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
