"""One table from AWS's error codes to the engine's errors.

A 4xx of SES is a clean "no": nothing was sent. What it means depends on the code and, since SES uses one code
for several things, on the message.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gaierror
from typing import Final, NamedTuple

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from engine.errors import (
    FailureCode,
    OutcomeUnknown,
    Refusal,
    SendFailure,
    SendingPaused,
    SendRefused,
    SendThrottled,
    ServiceUnavailable,
)

_Answer = type[SendRefused] | type[SendThrottled] | type[SendingPaused]


class _Rule(NamedTuple):
    """`codes`: of a failed call, or in capitals of one email of SendBulkEmail, separated by spaces.

    `message`: a regular expression that the message begins with. Where SES refuses an email it quotes its
    addresses, so what stands further on may be anybody's words.
    """

    codes: str
    message: str
    answer: _Answer
    configuration: bool = False


# The first rule that fits decides.
# Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors
# Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_BulkEmailEntryResult.html
# Source: https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html
_REJECTED: Final = "MessageRejected MessageRejectedException MESSAGE_REJECTED"
_THROTTLED: Final = (
    "TooManyRequestsException Throttling ThrottlingException ACCOUNT_THROTTLED TRANSIENT_FAILURE"
)
_SES_RULES: Final = (
    _Rule(_THROTTLED, r".*daily.*quota", SendingPaused),
    _Rule(_THROTTLED, "", SendThrottled),
    _Rule(
        "SendingPausedException AccountSuspendedException LimitExceeded LimitExceededException"
        " ACCOUNT_SUSPENDED ACCOUNT_DAILY_QUOTA_EXCEEDED ACCOUNT_SENDING_PAUSED"
        " CONFIGURATION_SET_SENDING_PAUSED",
        "",
        SendingPaused,
    ),
    _Rule(_REJECTED, r"sending (is |has been )?(paused|suspended)", SendingPaused),
    _Rule(_REJECTED, r"[a-z ]*not verified", SendRefused, configuration=True),
    _Rule(_REJECTED, "", SendRefused),
    _Rule("BadRequestException INVALID_PARAMETER", "", SendRefused),
    _Rule(
        "MailFromDomainNotVerifiedException MAIL_FROM_DOMAIN_NOT_VERIFIED NotFoundException"
        " CONFIGURATION_SET_NOT_FOUND TEMPLATE_NOT_FOUND INVALID_SENDING_POOL_NAME",
        "",
        SendRefused,
        configuration=True,
    ),
)


def _judge(code: str, message: str) -> SendFailure | None:
    """What SES means by a code and a message; None for a code that the engine does not know."""
    for rule in _SES_RULES:
        if code not in rule.codes.split() or not re.match(rule.message, message, re.IGNORECASE):
            continue
        if rule.answer is SendThrottled or rule.answer is SendingPaused:
            return rule.answer(f"SES answered {code}")
        refusal = Refusal(FailureCode.REJECTED, f"SES refused the email with {code}: {message}")
        return SendRefused(refusal, configuration=rule.configuration)
    return None


def bulk_entry_error(status: str, message: str) -> SendFailure:
    """What a status other than SUCCESS means for one email; FAILED and new ones say nothing certain."""
    return _judge(status, message) or OutcomeUnknown(f"SES answered {status} for an email of a bulk call")


def is_not_offered(error: Exception) -> bool:
    """Whether the whole call is refused as such, so that nothing can have been sent."""
    if not isinstance(error, ClientError):
        return False
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # NotFoundException is SES's own answer for a configuration set that is not there.
    return code.startswith("AccessDenied") or (status in {404, 405, 501} and code != "NotFoundException")


def ses_error(error: Exception) -> SendFailure:
    """What a failed SendEmail means. Raises nothing; an error it can't judge counts as unknown outcome."""
    match error:
        case ClientError():
            code = error.response.get("Error", {}).get("Code", "")
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) >= 500:
                return OutcomeUnknown(f"SES answered {code}")
            # An unknown code is loud, not permanent: the mail waits while somebody reads the alarm.
            return _judge(code, error.response.get("Error", {}).get("Message", "")) or SendThrottled(
                f"SES answered with a code that the engine does not know: {code}", unexpected=True
            )
        case ConnectTimeoutError() | ProxyConnectionError() | SSLError():
            return SendThrottled(f"SES could not be reached: {type(error).__name__}")
        case EndpointConnectionError(kwargs={"error": aiohttp.ClientConnectorError() | gaierror()}):
            # No connection came about. aiobotocore uses this error for a reset under way as well.
            # Source: https://github.com/aio-libs/aiobotocore/blob/2.25.1/aiobotocore/httpsession.py
            return SendThrottled(f"SES could not be reached: {type(error).__name__}")
        case (
            NoCredentialsError()
            | PartialCredentialsError()
            | CredentialRetrievalError()
            | MetadataRetrievalError()
        ):
            # Loud, as nothing mends itself here; and clean, as without credentials no request leaves.
            return SendThrottled(
                f"the request to SES could not be signed: {type(error).__name__}", unexpected=True
            )
        case _:
            return OutcomeUnknown(f"SES gave no answer: {type(error).__name__}")


@contextmanager
def service_errors(service: str) -> Iterator[None]:
    """Turn what the SDK raises about `service` into ServiceUnavailable, which says operation and code."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise ServiceUnavailable(f"{service} {error.operation_name} answered {code}") from error
    except (BotoCoreError, ResponseParserError, UnicodeDecodeError, aiohttp.ClientError, OSError) as error:
        # aiobotocore lets errors of aiohttp and time-outs (OSErrors) out while it reads an answer, and
        # botocore's parser that of a JSON answer which is not UTF-8.
        raise ServiceUnavailable(f"{service} could not be reached: {type(error).__name__}") from error


def is_code(error: ClientError, *codes: str) -> bool:
    return error.response.get("Error", {}).get("Code") in codes
