"""Separate streams: bulk mail by a configuration set of its own, transactional mail untracked beside it."""

from typing import Any

import pytest
from tests.support.synthesized import ACCOUNT, REGION, Deployed, deployed

MAIN, BULK = "mail-ConfigSet", "mail-BulkConfigSet"


def reported(stack: Deployed, name: str) -> set[str]:
    """The events that a set reports."""
    found: dict[str, Any] = stack.properties(
        "AWS::SES::ConfigurationSetEventDestination", ConfigurationSetName=name
    )
    return set(found["EventDestination"]["MatchingEventTypes"])


def properties(stack: Deployed, name: str) -> dict[str, Any]:
    return stack.properties("AWS::SES::ConfigurationSet", Name=name)


def variables(stack: Deployed) -> dict[str, str]:
    function = stack.properties("AWS::Lambda::Function", FunctionName="mail-EmailSender")
    found: dict[str, str] = function["Environment"]["Variables"]
    return found


def test_one_set_carries_all_mail_unless_streams_are_separate() -> None:
    stack = deployed(TrackOpens="true")
    assert len(stack.all("AWS::SES::ConfigurationSet")) == 1
    assert "open" in reported(stack, MAIN)
    assert not variables(stack).get("BULK_CONFIGURATION_SET")


def test_bulk_mail_is_tracked_as_the_parameters_say_and_transactional_mail_never() -> None:
    stack = deployed(SeparateStreams="true", TrackOpens="true", TrackClicks="true")
    assert reported(stack, BULK) - reported(stack, MAIN) == {"open", "click"}
    assert reported(stack, MAIN) >= {"send", "bounce", "complaint", "delivery"}
    assert variables(stack)["BULK_CONFIGURATION_SET"] == BULK


def test_each_set_has_its_own_pool_suppression_and_tenant() -> None:
    stack = deployed(
        SeparateStreams="true",
        BulkIpPool="campaigns",
        TransactionalSuppression="BOUNCE",
        BulkSuppression="BOUNCE,COMPLAINT",
        TenantName="shop",
        BulkTenantName="shop-news",
    )
    main, bulk = properties(stack, MAIN), properties(stack, BULK)
    assert "SendingPoolName" not in main["DeliveryOptions"]
    assert bulk["DeliveryOptions"] == {"TlsPolicy": "REQUIRE", "SendingPoolName": "campaigns"}
    assert main["SuppressionOptions"] == {"SuppressedReasons": ["BOUNCE"]}
    assert bulk["SuppressionOptions"] == {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]}
    assert variables(stack)["TENANT_NAME"] == "shop"
    assert variables(stack)["BULK_TENANT_NAME"] == "shop-news"


@pytest.mark.parametrize("separate", ["true", "false"])
def test_the_account_decides_on_suppression_where_nothing_is_said(separate: str) -> None:
    for made in deployed(SeparateStreams=separate).all("AWS::SES::ConfigurationSet").values():
        assert "SuppressionOptions" not in made["Properties"]


def test_both_sets_may_report_and_the_sender_may_use_both() -> None:
    stack = deployed(SeparateStreams="true")
    arns = {f"arn:aws:ses:{REGION}:{ACCOUNT}:configuration-set/{name}" for name in (MAIN, BULK)}
    topic = stack.all("AWS::SNS::TopicPolicy").values()
    allowed = [
        statement["Condition"]["StringEquals"]["AWS:SourceArn"]
        for policy in topic
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement.get("Sid") == "SESMayPublishFeedback"
    ]
    assert [set(those) for those in allowed] == [arns]
    (send,) = (
        one for one in stack.statements("engine.handlers.email_sender.handler") if one["Sid"] == "Send"
    )
    assert arns <= set(send["Resource"])


def test_each_stream_has_its_own_alarms_on_reputation() -> None:
    stack = deployed(SeparateStreams="true")
    for name, configuration_set in (("Transactional", MAIN), ("Bulk", BULK)):
        for rate in ("BounceRate", "ComplaintRate"):
            alarm = stack.properties("AWS::CloudWatch::Alarm", AlarmName=f"mail-{name}-{rate}")
            assert alarm["Dimensions"] == [{"Name": "ses:configuration-set", "Value": configuration_set}]
    whole = deployed().all("AWS::CloudWatch::Alarm").values()
    rates = {one["Properties"]["AlarmName"] for one in whole if "Rate" in one["Properties"]["AlarmName"]}
    assert rates == {"mail-SES-BounceRate", "mail-SES-ComplaintRate"}
