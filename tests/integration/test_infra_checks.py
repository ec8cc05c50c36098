"""What the tools of the trade say of the template: nothing, in any region that the documentation names."""

import json
import re
from pathlib import Path

import pytest
from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped] # it says nothing of types
from tests.support.synthesized import PINNED, deployed, synthesis

from infra.regions import LACKING, REGIONS
from infra.stack import TAG

CONTEXTS = [{}, PINNED]
# Rule E2530 does not see the condition that leaves it out there.
NO_SNAPSHOTS = ["us-gov-east-1", "us-gov-west-1"]
SNAPSHOTS_LEFT_OUT = f"E2530 'SnapStart' enabled functions are not supported in {NO_SNAPSHOTS}"


@pytest.mark.parametrize("context", CONTEXTS, ids=["parameters", "context"])
def test_cdk_nag_and_cdk_itself_find_nothing_that_is_not_acknowledged_with_a_reason(
    context: dict[str, str],
) -> None:
    assert synthesis(**context).findings == ()


@pytest.mark.parametrize("context", CONTEXTS, ids=["parameters", "context"])
def test_cfn_lint_finds_neither_errors_nor_warnings_in_any_region(context: dict[str, str]) -> None:
    found = lint(json.dumps(synthesis(**context).template), config=ManualArgs(regions=list(REGIONS)))
    said = {f"{match.rule.id} {match.message}" for match in found}
    assert said <= {SNAPSHOTS_LEFT_OUT}
    assert set(NO_SNAPSHOTS) == set(REGIONS) & set(LACKING["snap_start"])


def test_the_documentation_names_the_regions_that_are_checked() -> None:
    page = (Path(__file__).parents[2] / "docs" / "install.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^## Regions$(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    (regions,) = (paragraph for paragraph in listed.split("\n\n") if paragraph.startswith("`"))
    assert re.findall(r"`([\w-]+)`", regions) == list(REGIONS)


def test_the_template_is_small_enough_for_cloudformation_and_every_expression_too() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html."""
    template = synthesis().template
    assert len(json.dumps(template)) < 1_000_000
    assert len(template["Resources"]) < 500
    assert len(template["Parameters"]) < 200


def test_everything_that_takes_a_tag_tells_its_stack_so_that_costs_can_be_told_apart() -> None:
    untaggable = {
        "AWS::IAM::ManagedPolicy",
        "AWS::KMS::Alias",
        "AWS::Lambda::Alias",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
        "AWS::Logs::QueryDefinition",
        "AWS::S3::BucketPolicy",
        "AWS::SES::ConfigurationSetEventDestination",
        "AWS::SNS::Subscription",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
        "Custom::Fingerprint",
        "Custom::StarterTemplates",
    }
    stack = deployed()
    kinds = {resource["Type"] for resource in stack.template["Resources"].values()} - untaggable
    for kind in kinds:
        for logical_id, made in stack.all(kind).items():
            tags = made["Properties"]["Tags"]
            values = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
            assert values.get(TAG) == "mail", logical_id
