"""Findings of cdk-nag (AWS Solutions) and of CDK's own validation that are meant to be so.

Each is acknowledged beside the construct that it is about, and never without the reason.
"""

from aws_cdk import Acknowledgment, CfnElement, Stack, Validations
from constructs import Construct, IConstruct

_NAG = "AwsSolutions"


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """`rule`: as a report names it, such as `AwsSolutions-L1` or `CloudFormation-Validate::W3694`."""
    whole = f"{_NAG}::{rule}" if rule.startswith(_NAG) else rule
    Validations.of(construct).acknowledge(Acknowledgment(id=whole, reason=reason))


def acknowledge_objects(role: IConstruct, bucket: Construct, pattern: str, reason: str) -> None:
    """That a role may use every object of a bucket under `pattern`."""
    resource = bucket.node.default_child
    assert isinstance(resource, CfnElement)  # noqa: S101 -- what the L2 construct always makes
    name = Stack.of(bucket).get_logical_id(resource)
    acknowledge(role, f"AwsSolutions-IAM5[Resource::<{name}.Arn>/{pattern}]", reason)
