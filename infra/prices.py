"""What AWS asks for, in us-east-1 as read in November 2026: for the dashboard's costs and the benchmarks'.

https://aws.amazon.com/ses/pricing/, /lambda/pricing/, /dynamodb/pricing/on-demand/, /eventbridge/pricing/,
/sns/pricing/, /sqs/pricing/, /cloudwatch/pricing/. In dollars, each for one of its kind, without free tiers.
"""

from typing import Final

MILLION: Final = 1_000_000

SES_EMAIL: Final = 0.10 / 1000
SES_EMAIL_ESSENTIALS: Final = 0.16 / 1000  # the plan of accounts that began with SES after 2026-07-21
LAMBDA_GB_SECOND: Final = 0.0000133334  # arm64
LAMBDA_REQUEST: Final = 0.20 / MILLION
DYNAMODB_WRITE: Final = 0.625 / MILLION
DYNAMODB_READ: Final = 0.125 / MILLION
EVENTBRIDGE_EVENT: Final = 1.00 / MILLION
SNS_PUBLISH: Final = 0.50 / MILLION
SQS_REQUEST: Final = 0.40 / MILLION
LOG_BYTE: Final = 0.50 / 1024**3
