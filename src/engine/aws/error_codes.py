"""One table from AWS's error codes to the engine's errors.

A 4xx of SES is a clean "no": nothing was sent. What it means depends on the code and, since SES uses one code
for several things, on the message.
Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gaierror
from typing import TYPE_CHECKING, Final, NamedTuple

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

if TYPE_CHECKING:
    from botocore.exceptions import _ClientErrorResponseTypeDef


SendKind = type[SendRefused] | type[SendThrottled] | type[SendingPaused]


class _Rule(NamedTuple):
    code: str  # a regular expression over the whole code
    message: str  # a regular expression searched in the message
    kind: SendKind
    configuration: bool = False


# The first rule that fits decides.
_SES_RULES: Final = (
    _Rule(r".*", r"(?i)daily.*quota", SendingPaused),
    _Rule(r"SendingPausedException|AccountSuspendedException", "", SendingPaused),
    _Rule(r"LimitExceededException", "", SendingPaused),
    _Rule(r"TooManyRequestsException|Throttling(Exception)?", "", SendThrottled),
    _Rule(r"MessageRejected(Exception)?", r"(?i)sending (is |has been )?(paused|suspended)", SendingPaused),
    _Rule(r"MessageRejected(Exception)?", r"(?i)not verified", SendRefused, configuration=True),
    _Rule(r"MessageRejected(Exception)?", "", SendRefused),
    _Rule(
        r"MailFromDomainNotVerifiedException|NotFoundException|BadRequestException",
        "",
        SendRefused,
        configuration=True,
    ),
)


# SES's own answer for a configuration set that is not there; any other 404 means that there is no such call.
_KNOWN_404: Final = frozenset({"NotFoundException"})

# What SendBulkEmail says of each of its emails.
# Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_BulkEmailEntryResult.html
_BULK_STATUSES: Final[dict[str, tuple[SendKind, bool]]] = {
    "MESSAGE_REJECTED": (SendRefused, False),
    "INVALID_PARAMETER": (SendRefused, True),
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": (SendRefused, True),
    "CONFIGURATION_SET_NOT_FOUND": (SendRefused, True),
    "TEMPLATE_NOT_FOUND": (SendRefused, True),
    "INVALID_SENDING_POOL_NAME": (SendRefused, True),
    "ACCOUNT_THROTTLED": (SendThrottled, False),
    "TRANSIENT_FAILURE": (SendThrottled, False),
    "ACCOUNT_SUSPENDED": (SendingPaused, False),
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": (SendingPaused, False),
    "ACCOUNT_SENDING_PAUSED": (SendingPaused, False),
    "CONFIGURATION_SET_SENDING_PAUSED": (SendingPaused, False),
}


def bulk_entry_error(status: str, message: str) -> SendFailure:
    """What a status other than SUCCESS means for one email; FAILED and new ones say nothing certain."""
    if status not in _BULK_STATUSES:
        return OutcomeUnknown(f"SES answered {status} for an email of a bulk call")
    kind, configuration = _BULK_STATUSES[status]
    return _failure(kind, status, message, configuration=configuration)


def is_not_offered(error: Exception) -> bool:
    """Whether the whole call is refused as such, so that nothing can have been sent."""
    if not isinstance(error, ClientError):
        return False
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code.startswith("AccessDenied") or (status in {404, 405, 501} and code not in _KNOWN_404)


def ses_error(error: Exception) -> SendFailure:
    """What a failed SendEmail means. Raises nothing; an error it can't judge counts as unknown outcome."""
    match error:
        case ClientError():
            return _ses_answer(error.response)
        case ConnectTimeoutError() | ProxyConnectionError() | SSLError():
            return SendThrottled(f"SES could not be reached: {type(error).__name__}")
        case EndpointConnectionError() if _never_connected(error):
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


def _never_connected(error: EndpointConnectionError) -> bool:
    """Whether no connection came about; aiobotocore uses this error for a reset under way as well.

    Source: AIOHTTPSession.send in https://github.com/aio-libs/aiobotocore/blob/2.25.1/aiobotocore/httpsession.py
    """
    return isinstance(error.kwargs.get("error"), aiohttp.ClientConnectorError | gaierror)


def _ses_answer(response: "_ClientErrorResponseTypeDef") -> SendFailure:
    code = response.get("Error", {}).get("Code", "")
    message = response.get("Error", {}).get("Message", "")
    if response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) >= 500:
        return OutcomeUnknown(f"SES answered {code}")
    for rule in _SES_RULES:
        if re.fullmatch(rule.code, code) and re.search(rule.message, message):
            return _failure(rule.kind, code, message, configuration=rule.configuration)
    # Loud, not permanent: the mail waits while somebody reads the alarm.
    return SendThrottled(f"SES answered with a code that the engine does not know: {code}", unexpected=True)


def _failure(kind: SendKind, code: str, message: str, *, configuration: bool) -> SendFailure:
    if kind is SendThrottled or kind is SendingPaused:
        return kind(f"SES answered {code}")
    refusal = Refusal(FailureCode.REJECTED, f"SES refused the email with {code}: {message}")
    return SendRefused(refusal, configuration=configuration)


@contextmanager
def service_errors(service: str) -> Iterator[None]:
    """Turn what the SDK raises about `service` into ServiceUnavailable, which says operation and code."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise ServiceUnavailable(f"{service} {error.operation_name} answered {code}") from error
    except (BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError) as error:
        # aiobotocore lets errors of aiohttp and time-outs (OSErrors) out while it reads an answer.
        raise ServiceUnavailable(f"{service} could not be reached: {type(error).__name__}") from error


def is_code(error: ClientError, code: str) -> bool:
    return error.response.get("Error", {}).get("Code") == code
