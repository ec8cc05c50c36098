"""What AWS asks for, in us-east-1 as read in November 2026: for `cost`, the dashboard and the benchmarks.

https://aws.amazon.com/ses/pricing/, /lambda/pricing/, /dynamodb/pricing/on-demand/, /eventbridge/pricing/,
/sns/pricing/, /sqs/pricing/, /cloudwatch/pricing/, /kms/pricing/. In dollars, each for one of its kind,
without free tiers. Those of SnapStart are as third parties quote them.
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

# What the stack costs while it is there. A month has 730 hours.
KMS_KEY_MONTH: Final = 1.00
ALARM_METRIC_MONTH: Final = 0.10  # for each metric that an alarm looks at; ten are free
SNAPSTART_CACHE_GB_SECOND: Final = 0.0000015046  # as long as the version exists
SNAPSTART_RESTORE_GB: Final = 0.0001397998
MONTH_SECONDS: Final = 730 * 3600

READ: Final = "us-east-1, November 2026"
"""Where and when the prices were read."""
