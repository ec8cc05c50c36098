"""What the tools of the trade say of the template: nothing."""

import json

import pytest
from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped] # it says nothing of types
from tests.support.synthesized import PINNED, synthesis

CONTEXTS = [{}, PINNED]


@pytest.mark.parametrize("context", CONTEXTS, ids=["parameters", "context"])
def test_cdk_nag_and_cdk_itself_find_nothing_that_is_not_acknowledged_with_a_reason(
    context: dict[str, str],
) -> None:
    assert synthesis(**context).findings == ()


@pytest.mark.parametrize("context", CONTEXTS, ids=["parameters", "context"])
def test_cfn_lint_finds_neither_errors_nor_warnings(context: dict[str, str]) -> None:
    found = lint(json.dumps(synthesis(**context).template), config=ManualArgs(regions=["us-east-1"]))
    assert [f"{match.rule.id} {match.message}" for match in found] == []


def test_the_template_is_small_enough_for_cloudformation_and_every_expression_too() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html."""
    template = synthesis().template
    assert len(json.dumps(template)) < 1_000_000
    assert len(template["Resources"]) < 500
    assert len(template["Parameters"]) < 200
