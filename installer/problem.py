"""What stops the installer, said so that a person can go on: what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as sdk
from botocore.exceptions import BotoCoreError, ClientError


class Problem(Exception):  # noqa: N818 -- it is told to a person, as one
    """Something that the person at the keyboard has to solve."""

    def __init__(self, what: str, do: str) -> None:
        super().__init__(what)
        self.what = what
        self.do = do


_LOG_IN = (
    "Log in anew (`aws sso login`, `aws configure`), or name another profile with --profile; "
    "`aws sts get-caller-identity` must succeed."
)

# By code of AWS's answer; {doing} is what was attempted.
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
def doing(attempt: str) -> Iterator[None]:
    """Turn what AWS or its SDK says into a `Problem` that tells what was being done ("reading ...")."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise explain(error, attempt) from error


def explain(error: ClientError | BotoCoreError, attempt: str) -> Problem:
    if isinstance(error, ClientError):
        return _explain_answer(error, attempt)
    if isinstance(error, sdk.ProfileNotFound):
        return Problem(f"{error}.", "`aws configure list-profiles` shows the profiles there are.")
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
        return Problem(f"There are no usable AWS credentials while {attempt}: {error}.", _LOG_IN)
    if isinstance(error, (sdk.ConnectionError, sdk.HTTPClientError)):
        return Problem(
            f"AWS could not be reached while {attempt}: {error}.",
            "Check the network and the proxy, and that the service exists in this region.",
        )
    return Problem(f"The AWS SDK failed while {attempt}: {error}.", "Correct what it names, and run again.")


def _explain_answer(error: ClientError, attempt: str) -> Problem:
    code, message = code_of(error), error.response.get("Error", {}).get("Message", "")
    if code in _DENIED:
        return Problem(
            f"Not allowed while {attempt}: {message or code}.",
            "Use credentials with the permissions that docs/install.md lists.",
        )
    if code in _CODES:
        what, do = _CODES[code]
        return Problem(f"{what} ({code} while {attempt}).", do)
    return Problem(
        f"AWS refused while {attempt}: {code}: {message}.", "Correct what it names, and run again."
    )


def code_of(error: ClientError) -> str:
    code: str = error.response.get("Error", {}).get("Code", "")
    return code
