"""The managed policies of those who operate the stack allow what the commands call, and nothing else.

The calls are read out of the source: of `engine.operations`, and of the adapters that it uses.
"""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import get_session
from tests.support.aws_calls import Ask
from tests.support.iam import allows, grants
from tests.support.synthesized import ACCOUNT, REGION, Deployed, deployed, synthesis

import engine
import engine.operations
from infra.regions import REGIONS

LONGEST_POLICY = 6_144
"""Characters without white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

# The services that operators use, and their names in IAM.
SERVICES = {
    "ce": "ce",
    "cloudformation": "cloudformation",
    "cloudwatch": "cloudwatch",
    "dynamodb": "dynamodb",
    "events": "events",
    "lambda": "lambda",
    "logs": "logs",
    "s3": "s3",
    "scheduler": "scheduler",
    "sesv2": "ses",
    "sns": "sns",
    "sqs": "sqs",
}
# Calls whose permission is called otherwise.
RENAMED = {
    "dynamodb:TransactWriteItems": "dynamodb:PutItem",  # authorized by what is in it
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}
ADAPTERS = ("engine.aws.", "engine.client.")
LOOKS = ("Get", "List", "Describe", "Query", "BatchGet", "StartQuery")
"""How the names of permissions begin that change nothing."""


def policy(name: str, stack: Deployed | None = None) -> dict[str, Any]:
    stack = stack or deployed()
    prefix = stack.outputs()["EventBusName"].removesuffix("-EmailBus")
    return stack.properties("AWS::IAM::ManagedPolicy", ManagedPolicyName=f"{prefix}-{name}")


def statements(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = policy(name)["PolicyDocument"]["Statement"]
    return found


POLICIES = ("Support", "Operator", "Privacy")


def granted(name: str) -> set[str]:
    return {action for action, _ in grants(statements(name))}


# -- what the source calls -----------------------------------------------------------------------------------


@cache
def operations() -> dict[str, set[str]]:
    """By method, such as `list_objects_v2`, the permissions it may stand for: services share some names."""
    found: dict[str, set[str]] = {}
    for service, prefix in SERVICES.items():
        for operation in get_session().get_service_model(service).operation_names:
            action = f"{prefix}:{operation}"
            found.setdefault(xform_name(operation), set()).add(RENAMED.get(action, action))
    return found


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in operations():
                yield node.func.attr
            if node.func.attr == "get_paginator":
                assert isinstance(node.args[0], ast.Constant)
                yield str(node.args[0].value)


def imported_adapters(tree: ast.Module) -> Iterator[ast.AST]:
    """The functions and classes of `engine.aws` and `engine.client` that a module imports.

    With them comes what they use, in their own module and in others of these two.
    """
    waiting = list(_imports(tree).items())
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, module = waiting.pop()
        if (module, name) in seen:
            continue
        seen.add((module, name))
        source = _module(module)
        if (defined := _definitions(source).get(name)) is not None:
            yield defined
            places = dict.fromkeys(_definitions(source), module) | _imports(source)
            used = {node.id for node in ast.walk(defined) if isinstance(node, ast.Name)}
            waiting += [(each, places[each]) for each in used & places.keys()]


def _imports(tree: ast.Module) -> dict[str, str]:
    """By name, the module of these two that it comes from."""
    return {
        each.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(ADAPTERS)
        for each in node.names
    }


def _definitions(tree: ast.Module) -> dict[str, ast.AST]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name: node for node in tree.body if isinstance(node, kinds)}


def _module(name: str) -> ast.Module:
    path = Path(engine.__path__[0], *name.split(".")[1:]).with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def called() -> dict[str, str]:
    """By method, a file that calls it."""
    found: dict[str, str] = {}
    for path in Path(engine.operations.__path__[0]).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for part in (tree, *imported_adapters(tree)):
            found |= dict.fromkeys(calls(part), path.name)
    return found


def test_every_call_of_the_commands_is_allowed_by_one_of_the_policies() -> None:
    allowed = set().union(*map(granted, POLICIES))
    assert {method: file for method, file in called().items() if not operations()[method] & allowed} == {}


def test_nothing_is_allowed_that_no_command_calls() -> None:
    needed = set().union(*(operations()[method] for method in called()))
    assert set().union(*map(granted, POLICIES)) - needed == FOR_EVENTBRIDGE


def test_looking_is_support_and_acting_is_operator() -> None:
    assert [action for action in granted("Support") if not looks(action)] == []
    assert [action for action in granted("Operator") - FOR_EVENTBRIDGE if looks(action)] == []


# What EventBridge does in the caller's name: it keeps a connection's header, and posts in a role of ours.
FOR_EVENTBRIDGE = {
    "iam:CreateServiceLinkedRole",
    "iam:PassRole",
    "secretsmanager:CreateSecret",
    "secretsmanager:DeleteSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:PutSecretValue",
}


def looks(action: str) -> bool:
    return action.partition(":")[2].startswith(LOOKS)


def test_no_action_is_a_pattern() -> None:
    assert [action for name in POLICIES for action in granted(name) if "*" in action] == []


# -- their limits --------------------------------------------------------------------------------------------


def may(name: str, action: str, resource: str, *keys: str) -> bool:
    context = tuple(("dynamodb:LeadingKeys", key) for key in keys)
    return allows(statements(name), Ask(action, resource, context))


def table(name: str) -> str:
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"


@pytest.mark.parametrize("action", ["PutItem", "UpdateItem", "DeleteItem"])
def test_operators_write_brakes_into_state_and_nothing_else(action: str) -> None:
    for key in ("stop#all", "stop#template#welcome", "cancel#campaign#spring"):
        assert may("Operator", f"dynamodb:{action}", table("mail-State"), key)
    for key in ("rate#line", "quota#2026-11-25#0", "payload#1", "soft-bounces#ada@example.com"):
        assert not may("Operator", f"dynamodb:{action}", table("mail-State"), key)
    assert not may("Operator", f"dynamodb:{action}", table("mail-State"), "stop#all", "rate#line")
    assert not may("Operator", f"dynamodb:{action}", table("mail-State"))


def test_the_requests_that_state_keeps_are_for_who_answers_for_personal_data_alone() -> None:
    assert may("Support", "dynamodb:BatchGetItem", table("mail-State"), "stop#all", "quota#2026-11-25#0")
    assert not may("Support", "dynamodb:BatchGetItem", table("mail-State"), "stop#all", "payload#1")
    assert not may("Operator", "dynamodb:BatchGetItem", table("mail-State"), "payload#1")
    assert not may("Support", "dynamodb:Query", table("mail-State"))
    assert may("Privacy", "dynamodb:BatchGetItem", table("mail-State"), "payload#1", "payload#1#email-1")
    assert may("Privacy", "dynamodb:DeleteItem", table("mail-State"), "soft-bounces#ada@example.com")
    assert not may("Privacy", "dynamodb:DeleteItem", table("mail-State"), "stop#all")


def test_the_ledger_is_read_and_written_only_to_forget_a_person() -> None:
    assert may("Support", "dynamodb:Query", table("mail-EmailTracking/index/to-email-timestamp-index"))
    for action in ("PutItem", "UpdateItem", "DeleteItem"):
        assert not may("Operator", f"dynamodb:{action}", table("mail-EmailTracking"), "email-1")
        assert may("Privacy", f"dynamodb:{action}", table("mail-EmailTracking")) is (action == "UpdateItem")


@pytest.mark.parametrize("name", POLICIES)
def test_the_resources_of_another_stack_are_out_of_reach(name: str) -> None:
    for action, resource in grants(statements(name)):
        if "mail" in resource:
            assert not may(name, action, resource.replace("mail-", "payroll-").replace("/mail/", "/payroll/"))


def test_on_every_resource_only_what_knows_none_is_allowed() -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/."""
    everywhere = {
        action for name in POLICIES for action, resource in grants(statements(name)) if resource == "*"
    }
    assert everywhere == {
        "ce:GetCostAndUsage",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricData",
        "events:ListRules",
        "lambda:GetAccountSettings",
        "logs:GetQueryResults",
        "ses:DeleteSuppressedDestination",
        "ses:GetAccount",
        "ses:GetEmailIdentity",  # a sender's domain may lie under any identity
        "ses:GetSuppressedDestination",
        "ses:ListSuppressedDestinations",
        "ses:PutSuppressedDestination",
    }


def test_they_are_attached_to_nobody() -> None:
    for made in deployed().all("AWS::IAM::ManagedPolicy").values():
        assert not {"Groups", "Roles", "Users"} & made["Properties"].keys()


@pytest.mark.parametrize("name", POLICIES)
def test_they_fit_into_a_managed_policy_under_the_longest_names(name: str) -> None:
    place = {"AWS::StackName": "s" * 40, "AWS::Region": max(REGIONS, key=len), "AWS::Partition": "aws-us-gov"}
    document = policy(name, Deployed(synthesis().template, {}, place))["PolicyDocument"]
    assert len(json.dumps(document, separators=(",", ":"))) <= LONGEST_POLICY
