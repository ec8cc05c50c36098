"""The one table from what AWS and its SDK say to what the engine does about it."""

import ssl
from socket import gaierror
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from botocore import exceptions as sdk
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from botocore.session import get_session

from engine.aws.error_codes import bulk_entry_error, is_code, is_not_offered, service_errors, ses_error
from engine.errors import (
    FailureCode,
    OutcomeUnknown,
    SendingPaused,
    SendRefused,
    SendThrottled,
    ServiceUnavailable,
)

URL = "https://email.eu-west-1.amazonaws.com"


def answer(code: str, message: str = "", status: int = 400) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "SendEmail")


# -- what SES answers ----------------------------------------------------------------------------------------

PAUSED = [
    ("SendingPausedException", "Email sending is disabled for this account."),
    ("AccountSuspendedException", "Sending suspended for this account."),
    ("LimitExceededException", "Daily message quota exceeded."),
    ("LimitExceededException", "There are too many instances of the specified resource type."),
    ("LimitExceeded", "Daily message quota exceeded"),
    ("Throttling", "Daily message quota exceeded"),
    ("ThrottlingException", "Daily message quota exceeded."),
    ("TooManyRequestsException", "The daily sending quota is used up"),
    ("MessageRejected", "Sending paused for this account. For more information, check your inbox."),
    ("MessageRejected", "Sending is paused for this configuration set."),
    ("MessageRejected", "Sending suspended for this account."),
]
THROTTLED = [
    ("TooManyRequestsException", "Too many requests."),
    ("TooManyRequestsException", "Maximum sending rate exceeded."),
    ("Throttling", "Maximum sending rate exceeded."),
    ("ThrottlingException", "Rate exceeded"),
]
REFUSED = [
    ("MessageRejected", "Email address is on the suppression list."),
    ("MessageRejectedException", "The message contains a virus."),
    ("MessageRejected", "Address is on the suppression list: sending paused@shop.example"),
    ("MessageRejected", "Address is on the suppression list: daily-quota-report@shop.example"),
    ("BadRequestException", "Missing final '@domain'"),
    ("BadRequestException", "Invalid address: daily-quota-report@"),
    ("BadRequestException", "The From ID is not in an active state."),
]
CONFIGURATION = [
    ("MessageRejected", "Email address is not verified. These identities failed the check: a@b.example"),
    ("MessageRejected", "Email address is not verified: daily-quota-report@shop.example"),
    ("MessageRejected", "Email address is not verified: sending paused@shop.example"),
    ("MailFromDomainNotVerifiedException", "The MAIL FROM domain is not verified."),
    ("MailFromDomainNotVerifiedException", "No MX record for daily-quota.shop.example"),
    ("NotFoundException", "Configuration set <Mail-ConfigSet> does not exist."),
    ("NotFoundException", "Configuration set <daily-quota> does not exist."),
]
UNKNOWN_CODES = [
    ("AccessDeniedException", 403),
    ("ExpiredTokenException", 403),
    ("UnrecognizedClientException", 403),
    ("RequestEntityTooLarge", 413),
    ("SomethingNewException", 400),
    ("", 400),
]


@pytest.mark.parametrize(("code", "message"), PAUSED)
def test_an_account_that_may_not_send_for_now_pauses(code: str, message: str) -> None:
    assert isinstance(ses_error(answer(code, message)), SendingPaused)


@pytest.mark.parametrize(("code", "message"), THROTTLED)
def test_a_rate_that_was_too_high_is_a_throttle(code: str, message: str) -> None:
    error = ses_error(answer(code, message, 429))
    assert isinstance(error, SendThrottled)
    assert not error.unexpected


@pytest.mark.parametrize(("code", "message"), REFUSED)
def test_a_message_that_ses_rejects_is_refused_in_its_own_words(code: str, message: str) -> None:
    error = ses_error(answer(code, message))
    assert isinstance(error, SendRefused)
    assert not error.configuration
    assert error.refusal.code is FailureCode.REJECTED
    assert error.refusal.message == f"SES refused the email with {code}: {message}"


@pytest.mark.parametrize(("code", "message"), CONFIGURATION)
def test_a_refusal_that_every_email_would_meet_is_marked_as_configuration(code: str, message: str) -> None:
    error = ses_error(answer(code, message))
    assert isinstance(error, SendRefused)
    assert error.configuration


@pytest.mark.parametrize("message", ["who knows", "Daily message quota exceeded"])
@pytest.mark.parametrize(("code", "status"), UNKNOWN_CODES)
def test_a_code_that_nobody_knows_is_loud_and_not_final(code: str, status: int, message: str) -> None:
    error = ses_error(answer(code, message, status))
    assert isinstance(error, SendThrottled)
    assert error.unexpected
    assert code in str(error)


@pytest.mark.parametrize("code", ["InternalFailure", "ServiceUnavailable", "MessageRejected", "Throttling"])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_whatever_ses_says_with_a_server_error_the_outcome_is_unknown(code: str, status: int) -> None:
    assert isinstance(ses_error(answer(code, "Daily message quota exceeded", status)), OutcomeUnknown)


def test_an_answer_without_a_status_leaves_the_outcome_unknown() -> None:
    assert isinstance(ses_error(ClientError({}, "SendEmail")), OutcomeUnknown)


@pytest.mark.parametrize(("code", "message"), [*PAUSED, *THROTTLED])
def test_what_is_told_of_mail_that_waits_quotes_no_message(code: str, message: str) -> None:
    """It is logged, and SES's messages may hold addresses."""
    assert str(ses_error(answer(code, message))) == f"SES answered {code}"


# -- what SES answers for each email of a bulk call ----------------------------------------------------------

BULK_REFUSED = [("MESSAGE_REJECTED", False), ("INVALID_PARAMETER", False)] + [
    (status, True)
    for status in (
        "MAIL_FROM_DOMAIN_NOT_VERIFIED",
        "CONFIGURATION_SET_NOT_FOUND",
        "TEMPLATE_NOT_FOUND",
        "INVALID_SENDING_POOL_NAME",
    )
]
BULK_THROTTLED = ["ACCOUNT_THROTTLED", "TRANSIENT_FAILURE"]
BULK_PAUSED = [
    "ACCOUNT_SUSPENDED",
    "ACCOUNT_DAILY_QUOTA_EXCEEDED",
    "ACCOUNT_SENDING_PAUSED",
    "CONFIGURATION_SET_SENDING_PAUSED",
]


@pytest.mark.parametrize(("status", "configuration"), BULK_REFUSED)
def test_an_email_that_a_bulk_call_refuses_is_refused_in_the_words_of_ses(
    status: str, *, configuration: bool
) -> None:
    error = bulk_entry_error(status, "the reason")
    assert isinstance(error, SendRefused)
    assert error.refusal.message == f"SES refused the email with {status}: the reason"
    assert error.configuration is configuration


@pytest.mark.parametrize("status", BULK_THROTTLED)
def test_an_email_that_a_bulk_call_has_no_room_for_is_throttled(status: str) -> None:
    error = bulk_entry_error(status, "ada@example.com")
    assert isinstance(error, SendThrottled)
    assert str(error) == f"SES answered {status}"
    assert not error.unexpected


@pytest.mark.parametrize("status", BULK_PAUSED)
def test_an_email_of_an_account_that_may_not_send_for_now_pauses(status: str) -> None:
    error = bulk_entry_error(status, "ada@example.com")
    assert isinstance(error, SendingPaused)
    assert str(error) == f"SES answered {status}"


def test_what_a_bulk_call_says_of_an_email_is_judged_by_its_message_too() -> None:
    assert isinstance(bulk_entry_error("MESSAGE_REJECTED", "Sending paused for this account."), SendingPaused)
    unverified = bulk_entry_error("MESSAGE_REJECTED", "Email address is not verified: daily-quota@a.example")
    assert isinstance(unverified, SendRefused)
    assert unverified.configuration


@pytest.mark.parametrize("status", ["FAILED", "SOMETHING_NEW", "SUCCESS", ""])
def test_a_status_that_says_nothing_certain_leaves_the_outcome_unknown(status: str) -> None:
    """SUCCESS comes here only without a message id."""
    assert isinstance(bulk_entry_error(status, "ada@example.com"), OutcomeUnknown)


def test_every_status_that_botocore_knows_of_is_judged() -> None:
    model = get_session().get_service_model("sesv2").shape_for("BulkEmailStatus")
    judged = {status for status, _ in BULK_REFUSED} | {*BULK_THROTTLED, *BULK_PAUSED, "SUCCESS", "FAILED"}
    assert set(model.metadata["enum"]) == judged


# -- a call that is not there --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDeniedException", 403),
        ("AccessDenied", 403),
        ("UnknownOperationException", 404),
        ("404", 404),
        ("405", 405),
        ("501", 501),
        ("NotImplementedException", 501),
    ],
)
def test_a_call_that_is_missing_or_forbidden_is_not_offered(code: str, status: int) -> None:
    assert is_not_offered(answer(code, "no", status))


@pytest.mark.parametrize(
    "error",
    [
        answer("NotFoundException", "Configuration set <x> does not exist.", 404),
        answer("TooManyRequestsException", "", 429),
        answer("BadRequestException", ""),
        answer("ExpiredTokenException", "", 403),
        answer("InternalFailure", "", 500),
        answer("ServiceUnavailable", "", 503),
        ClientError({}, "SendBulkEmail"),
        sdk.ReadTimeoutError(endpoint_url=URL),
        KeyError("BulkEmailEntryResults"),
    ],
    ids=repr,
)
def test_any_other_answer_or_none_says_nothing_about_what_is_offered(error: Exception) -> None:
    assert not is_not_offered(error)


# -- what happens on the way there ---------------------------------------------------------------------------

KEY = ConnectionKey("email.eu-west-1.amazonaws.com", 443, True, True, None, None, None)  # noqa: FBT003 - aiohttp's order
REFUSED_CONNECTION = aiohttp.ClientConnectorError(KEY, OSError(111, "Connection refused"))
NO_SUCH_HOST = aiohttp.ClientConnectorDNSError(KEY, OSError("no such host"))

NOTHING_LEFT = [
    sdk.ConnectTimeoutError(endpoint_url=URL),
    sdk.ProxyConnectionError(proxy_url="http://proxy.example"),
    sdk.SSLError(endpoint_url=URL, error=ssl.SSLError("certificate expired")),
    sdk.EndpointConnectionError(endpoint_url=URL, error=REFUSED_CONNECTION),
    sdk.EndpointConnectionError(endpoint_url=URL, error=NO_SUCH_HOST),
    sdk.EndpointConnectionError(endpoint_url=URL, error=gaierror()),
]
UNSIGNED = [
    sdk.NoCredentialsError(),
    sdk.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
    sdk.CredentialRetrievalError(provider="container", error_msg="no answer"),
    sdk.MetadataRetrievalError(error_msg="no answer"),
]
MAY_HAVE_LEFT = [
    sdk.ReadTimeoutError(endpoint_url=URL),
    sdk.ConnectionClosedError(endpoint_url=URL),
    sdk.EndpointConnectionError(endpoint_url=URL, error=aiohttp.ClientOSError(104, "Connection reset")),
    sdk.EndpointConnectionError(endpoint_url=URL),
    sdk.ResponseStreamingError(error=aiohttp.ClientPayloadError()),
    sdk.HTTPClientError(error=ValueError()),
    ResponseParserError("no JSON"),
    UnicodeDecodeError("utf-8", b"{\xa2}", 1, 2, "an answer of which a bit was turned"),
    aiohttp.ClientPayloadError(),
    TimeoutError(),
    KeyError("MessageId"),
]


@pytest.mark.parametrize("error", NOTHING_LEFT, ids=repr)
def test_a_connection_that_never_came_about_means_not_now(error: Exception) -> None:
    judged = ses_error(error)
    assert isinstance(judged, SendThrottled)
    assert not judged.unexpected


@pytest.mark.parametrize("error", UNSIGNED, ids=repr)
def test_a_request_that_could_not_be_signed_is_loud_and_was_not_sent(error: Exception) -> None:
    judged = ses_error(error)
    assert isinstance(judged, SendThrottled)
    assert judged.unexpected


@pytest.mark.parametrize("error", MAY_HAVE_LEFT, ids=repr)
def test_whatever_breaks_once_the_request_may_have_left_is_unknown(error: Exception) -> None:
    judged = ses_error(error)
    assert isinstance(judged, OutcomeUnknown)
    assert str(judged) == f"SES gave no answer: {type(error).__name__}"


# -- the other services --------------------------------------------------------------------------------------

UNREACHABLE = [*NOTHING_LEFT, *UNSIGNED, *MAY_HAVE_LEFT[:-1], ConnectionResetError()]


def raised(error: BaseException) -> ServiceUnavailable:
    with pytest.raises(ServiceUnavailable) as caught, service_errors("DynamoDB (State)"):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


def test_an_error_of_a_service_is_told_by_service_operation_and_code() -> None:
    error = raised(answer("ThrottlingException", "secret@example.com"))
    assert str(error) == "DynamoDB (State) SendEmail answered ThrottlingException"


def test_an_error_without_a_code_is_told_all_the_same() -> None:
    assert str(raised(ClientError({}, "Query"))) == "DynamoDB (State) Query answered unknown"


@pytest.mark.parametrize("error", UNREACHABLE, ids=repr)
def test_a_service_that_can_not_be_reached_is_told_by_the_kind_of_trouble(error: Exception) -> None:
    assert str(raised(error)) == f"DynamoDB (State) could not be reached: {type(error).__name__}"


@pytest.mark.parametrize("error", [KeyError("Item"), LookupError("no row"), TypeError("a bug")], ids=repr)
def test_a_bug_is_no_trouble_of_a_service(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, service_errors("DynamoDB"):
        raise error
    assert caught.value is error


def test_a_code_is_compared_whole() -> None:
    assert is_code(answer("ConditionalCheckFailedException"), "ConditionalCheckFailedException")
    assert not is_code(answer("ConditionalCheckFailedException"), "ConditionalCheckFailed")
    assert not is_code(ClientError({}, "PutItem"), "ConditionalCheckFailedException")
