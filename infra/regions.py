"""Where the stack can be deployed, and what some regions lack.

SES and all other resource types of the stack are in each of `REGIONS`, by CloudFormation's own schemas, which
cfn-lint carries: tests/integration/test_infra_checks.py lints the template for every one of them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

REGIONS: Final = (
    "af-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-5",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
)

# By the setting that switches it on: the regions that lack it, some of which may get SES one day.
# SnapStart: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html (November 2026).
# Function URLs and the schema registry: CloudFormation's schemas, as above.
LACKING: Final[Mapping[str, Sequence[str]]] = {
    "snap_start": (
        "ap-east-2",
        "ap-southeast-6",
        "cn-north-1",
        "cn-northwest-1",
        "us-gov-east-1",
        "us-gov-west-1",
    ),
    "hosted_unsubscribe": (
        "ap-east-2",
        "ap-south-2",
        "ap-southeast-4",
        "ap-southeast-5",
        "ap-southeast-6",
        "ap-southeast-7",
        "ca-west-1",
        "cn-northwest-1",
        "eu-central-2",
        "il-central-1",
        "me-central-1",
        "mx-central-1",
        "us-gov-east-1",
        "us-gov-west-1",
    ),
    "register_schemas": (
        "ap-east-2",
        "ap-south-2",
        "ap-southeast-4",
        "ap-southeast-5",
        "ap-southeast-6",
        "ap-southeast-7",
        "ca-west-1",
        "eusc-de-east-1",
        "il-central-1",
        "mx-central-1",
    ),
}
