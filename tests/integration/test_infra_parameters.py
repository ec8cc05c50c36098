"""One template for everybody: context writes a setting down, everything else is a parameter."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.synthesized import PINNED, SENDER, Deployed, deployed, synthesis

from infra.regions import REGIONS
from infra.settings import StackSettings, context_key, parameter_name

TEMPLATE_ONLY = {"BootstrapVersion"}  # CDK's own


def parameters() -> dict[str, Any]:
    return {
        name: found for name, found in synthesis().template["Parameters"].items() if name not in TEMPLATE_ONLY
    }


def takes(name: str, value: str) -> bool:
    """Whether CloudFormation would take a value for a text parameter."""
    found = parameters()[name]
    return re.fullmatch(found["AllowedPattern"], value) is not None and len(value) <= found["MaxLength"]


def test_without_context_every_setting_is_a_parameter() -> None:
    assert set(parameters()) == {parameter_name(name) for name in StackSettings.specs()}


def test_the_parameters_of_the_description_have_its_names_and_defaults() -> None:
    found = parameters()
    assert "Default" not in found["DefaultSenderEmail"]
    assert {name: found[name]["Default"] for name in ("AdminEmail", "DefaultSenderName")} == {
        "AdminEmail": "",
        "DefaultSenderName": "",
    }
    assert found["BounceRateThreshold"]["Default"] == 5
    assert found["DataRetentionDays"]["Default"] == 90
    assert found["Environment"]["AllowedValues"] == ["dev", "staging", "prod"]


def test_every_parameter_says_what_it_is_and_what_it_must_be() -> None:
    for found in parameters().values():
        assert found["Description"]
        assert found["ConstraintDescription"].startswith("it must be ")
        assert {"AllowedValues", "AllowedPattern", "MinValue"} & found.keys()


def test_the_console_shows_every_parameter_under_a_heading() -> None:
    groups = synthesis().template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(parameters())


def test_what_context_says_is_written_down_and_is_no_parameter() -> None:
    template = synthesis(**PINNED).template
    assert not {parameter_name_of(key) for key in PINNED} & template["Parameters"].keys()
    stack = Deployed(template)
    sender = stack.properties("AWS::Lambda::Function", FunctionName="mail-EmailSender")
    assert (sender["MemorySize"], sender["Timeout"], sender["ReservedConcurrentExecutions"]) == (1024, 40, 50)
    variables = sender["Environment"]["Variables"]
    assert variables["DEFAULT_SENDER_EMAIL"] == "no-reply@shop.example"
    assert variables["SES_MAX_SEND_RATE"] == "12.5"
    queue = stack.properties("AWS::SQS::Queue", QueueName="mail-EmailRetryQueue")
    assert queue["VisibilityTimeout"] == 6 * 40


def parameter_name_of(key: str) -> str:
    return key[0].upper() + key[1:]


@pytest.mark.parametrize("name", list(StackSettings.specs()))
def test_a_context_key_and_its_parameter_differ_in_one_capital(name: str) -> None:
    assert parameter_name_of(context_key(name)) == parameter_name(name)


@pytest.mark.parametrize("address", [SENDER, "first.last+tag@mail.shop.example", "o'brien@a-b.example"])
def test_an_address_is_taken(address: str) -> None:
    assert takes("DefaultSenderEmail", address)
    assert takes("AdminEmail", address)


@pytest.mark.parametrize(
    "address", ["nobody", "@example.com", "a@b", "a b@example.com", "Name <a@example.com>", "a@Example.com"]
)
def test_what_is_no_address_is_not(address: str) -> None:
    assert not takes("DefaultSenderEmail", address)
    assert not takes("AdminEmail", address)


def test_only_the_administrator_may_be_left_out() -> None:
    assert takes("AdminEmail", "")
    assert not takes("DefaultSenderEmail", "")


@pytest.mark.parametrize("listed", ["", "example.com", "a@example.com", "example.com,a@b.example,c.example"])
def test_a_list_of_senders_is_taken(listed: str) -> None:
    assert takes("AllowedSenders", listed)


@pytest.mark.parametrize("listed", ["example.com, b.example", "Example.com", ",", "example", "a@"])
def test_a_list_that_the_senders_policy_could_not_hold_to_is_not(listed: str) -> None:
    assert not takes("AllowedSenders", listed)


def test_a_name_stays_on_one_line() -> None:
    assert takes("DefaultSenderName", "Bücher & Söhne")
    assert not takes("DefaultSenderName", "two\nlines")


class TestAllowedSenders:
    """What IAM holds the sender to is what the sender itself allows."""

    @staticmethod
    def allowed(stack: Deployed) -> tuple[list[str], list[str]]:
        """Patterns of domains, and addresses."""
        (deny,) = (
            statement["Condition"]
            for statement in stack.statements("engine.handlers.email_sender.handler")
            if statement["Sid"] == "OnlyFromAllowedSenders"
        )
        return (
            deny["StringNotLike"]["ses:FromAddress"],
            deny.get("StringNotEqualsIgnoreCase", {}).get("ses:FromAddress", []),
        )

    def test_without_a_list_it_is_the_domain_of_the_default_sender(self) -> None:
        sender = "no-reply@shop.example"
        assert self.allowed(deployed(DefaultSenderEmail=sender)) == (["*@shop.example"], [sender])

    def test_with_a_list_it_is_every_domain_and_every_address_of_it(self) -> None:
        # A template can't tell one from the other; no address is like "*@news@mail.example".
        assert self.allowed(deployed(AllowedSenders="shop.example,news@mail.example")) == (
            ["*@shop.example", "*@news@mail.example"],
            ["shop.example", "news@mail.example"],
        )

    def test_from_context_each_stands_where_it_belongs(self) -> None:
        stack = Deployed(synthesis(**PINNED).template)
        assert self.allowed(stack) == (["*@shop.example"], ["news@mail.example"])

    @pytest.mark.parametrize("entry", ["a.b", "a@b.c", "x" * 60 + ".example"])
    def test_the_longest_list_leaves_every_role_within_what_iam_takes(self, entry: str) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: without white space."""
        longest = StackSettings.specs()["allowed_senders"].longest
        assert longest is not None
        listed = ",".join([entry] * ((longest + 1) // (len(entry) + 1)))
        assert takes("AllowedSenders", listed)
        place = {
            "AWS::StackName": "x" * 40,
            "AWS::Partition": "aws-us-gov",
            "AWS::Region": max(REGIONS, key=len),
        }
        for role in deployed(place=place, AllowedSenders=listed).all("AWS::IAM::Role").values():
            documents = [policy["PolicyDocument"] for policy in role["Properties"]["Policies"]]
            assert sum(len(json.dumps(one, separators=(",", ":"))) for one in documents) <= 10_240


def test_the_page_about_parameters_lists_each_with_its_default_and_limits() -> None:
    page = (Path(__file__).parents[2] / "docs" / "parameters.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert set(rows) == set(parameters())
    for name, spec in StackSettings.specs().items():
        default = getattr(StackSettings(), name)
        row = rows[parameter_name(name)]
        assert spec.description in row
        assert (
            f"| {'required' if spec.required else f'`{default}`' if default != '' else 'empty'} |"
            in f"| {row} |"
        )
        assert spec.expected in row
