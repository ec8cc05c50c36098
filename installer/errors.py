"""What stops the installer, said so that a person can go on: what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as sdk
from botocore.exceptions import BotoCoreError, ClientError


class InstallError(Exception):
    """What the person at the keyboard has to solve: `message` says what is wrong, `remedy` what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


PERMISSIONS_REMEDY = "Use credentials with the permissions of docs/install-policy.json (docs/install.md)."

_LOG_IN = (
    "Log in anew (`aws sso login`, `aws configure`), or name another profile with --profile; "
    "`aws sts get-caller-identity` must succeed."
)

# By the code of AWS's answer: what it means, and what to do.
_CODES = {
    "ExpiredToken": ("The credentials have expired", _LOG_IN),
    "ExpiredTokenException": ("The credentials have expired", _LOG_IN),
    "InvalidClientTokenId": ("AWS does not know these credentials", _LOG_IN),
    "UnrecognizedClientException": (
        "AWS does not know these credentials",
        _LOG_IN + " If it does succeed, the region may not be enabled for the account.",
    ),
    "SignatureDoesNotMatch": ("The secret access key is wrong, or this machine's clock is", _LOG_IN),
    "AuthFailure": ("AWS does not accept these credentials", _LOG_IN),
    "Throttling": ("AWS takes no more requests at the moment", "Run the same command again in a minute."),
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedException", "403"}


@contextmanager
def aws_errors(attempt: str) -> Iterator[None]:
    """Raise an error of AWS or its SDK as an `InstallError`; `attempt` is what was done ("reading ...")."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise install_error(error, attempt) from error


def install_error(error: ClientError | BotoCoreError, attempt: str) -> InstallError:
    if isinstance(error, ClientError):
        return _answer_error(error, attempt)
    if isinstance(error, sdk.ProfileNotFound):
        return InstallError(f"{error}.", "`aws configure list-profiles` shows the profiles there are.")
    if isinstance(
        error,
        (
            sdk.NoCredentialsError,
            sdk.PartialCredentialsError,
            sdk.CredentialRetrievalError,
            sdk.TokenRetrievalError,
            sdk.SSOError,
        ),
    ):
        return InstallError(f"There are no usable AWS credentials while {attempt}: {error}.", _LOG_IN)
    if isinstance(error, (sdk.ConnectionError, sdk.HTTPClientError)):
        return InstallError(
            f"AWS could not be reached while {attempt}: {error}.",
            "Check the network and the proxy, and that the service exists in this region.",
        )
    return InstallError(
        f"The AWS SDK failed while {attempt}: {error}.", "Correct what it names, and run again."
    )


def _answer_error(error: ClientError, attempt: str) -> InstallError:
    code, message = error_code(error), error.response.get("Error", {}).get("Message", "")
    if code in _DENIED:
        return InstallError(f"Not allowed while {attempt}: {message or code}.", PERMISSIONS_REMEDY)
    if code in _CODES:
        meaning, remedy = _CODES[code]
        return InstallError(f"{meaning} ({code} while {attempt}).", remedy)
    return InstallError(
        f"AWS refused while {attempt}: {code}: {message}.", "Correct what it names, and run again."
    )


def error_code(error: ClientError) -> str:
    code: str = error.response.get("Error", {}).get("Code", "")
    return code
