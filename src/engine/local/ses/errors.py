"""The errors of SES v2, in the form that it puts on the wire.

SES v2 speaks rest-json: the code travels in the header `x-amzn-ErrorType`, the text in `{"message": ...}`.
Status codes are those of botocore's sesv2 service model.
"""

_STATUS = {
    "TooManyRequestsException": 429,
    "ThrottlingException": 400,
    "NotFoundException": 404,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
}


class SesError(Exception):
    """A request that SES refuses; nothing was accepted."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status that SES gives this code."""
        return _STATUS.get(self.code, 400)


def bad_request(message: str) -> SesError:
    """The input is malformed or breaks a limit."""
    return SesError("BadRequestException", message)


def not_found(message: str) -> SesError:
    """A template or configuration set does not exist."""
    return SesError("NotFoundException", message)


def rate_exceeded() -> SesError:
    """More recipients in this second than the account may have."""
    return SesError("TooManyRequestsException", "Maximum sending rate exceeded.")


def daily_quota_exceeded() -> SesError:
    """More recipients in 24 hours than the account may have."""
    return SesError("LimitExceededException", "Daily message quota exceeded.")


def sending_paused() -> SesError:
    """The account's owner, or SES, paused sending."""
    return SesError("SendingPausedException", "Email sending is disabled for this account.")


def account_suspended() -> SesError:
    """SES took the permission to send away."""
    return SesError(
        "AccountSuspendedException",
        "Sending suspended for this account. For more information, please check the inbox of the email "
        "address associated with your AWS account.",
    )


def internal_failure() -> SesError:
    """SES itself failed; whether anything was accepted is not known to a caller."""
    return SesError("InternalFailure", "The request processing has failed because of an unknown error.")


BULK_STATUS = {
    "TooManyRequestsException": "ACCOUNT_THROTTLED",
    "LimitExceededException": "ACCOUNT_DAILY_QUOTA_EXCEEDED",
    "SendingPausedException": "ACCOUNT_SENDING_PAUSED",
    "AccountSuspendedException": "ACCOUNT_SUSPENDED",
    "MessageRejected": "MESSAGE_REJECTED",
    "MailFromDomainNotVerifiedException": "MAIL_FROM_DOMAIN_NOT_VERIFIED",
    "BadRequestException": "INVALID_PARAMETER",
}
"""The status that a SendBulkEmail entry gets where SendEmail would have raised the code."""
