"""Prices, as read, and what they are for. US dollars, us-east-1."""

from typing import Final

import msgspec

READ_IN: Final = "2026"


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Each for one unit: an email, a request, a gigabyte-second, a write or read unit, a gigabyte of log."""

    ses: float
    lambda_gb_second: float = 0.0000133334  # arm64
    lambda_request: float = 0.20 / 1e6
    dynamodb_write: float = 0.625 / 1e6
    dynamodb_read: float = 0.125 / 1e6
    event: float = 1.00 / 1e6  # EventBridge, custom events published
    sqs_request: float = 0.40 / 1e6
    sns_publish: float = 0.50 / 1e6  # list price; not among those read in 2026. Deliveries to Lambda are free
    log_gb: float = 0.50
    s3_get: float = 0.40 / 1e6  # list price; a template is read once in five minutes and environment


A_LA_CARTE: Final = Prices(ses=0.10 / 1000)
ESSENTIALS: Final = Prices(ses=0.16 / 1000)  # the default of accounts that are new since 2026-07-21
PLANS: Final = {"SES à la carte": A_LA_CARTE, "SES Essentials": ESSENTIALS}

# What the description of the system compares with, for 100,000 emails a month.
SAAS: Final = {"SendGrid": 20.0, "Mailgun": 35.0}
DESCRIBED: Final = {10_000: 0.01, 62_000: 0.06, 100_000: 3.90}
