"""Identities and configuration sets of the SES simulator, through AWS's SDK."""

from typing import Any

import boto3  # type: ignore[import-untyped]  # a test looks at answers as plain JSON
import pytest
from botocore.exceptions import ClientError

from engine.local.ses.threaded import ThreadedSimulator


@pytest.fixture
def sesv2(ses: ThreadedSimulator) -> Any:
    return boto3.client("sesv2", endpoint_url=ses.url)


def test_an_account_that_may_send_as_anybody_has_every_identity(sesv2: Any) -> None:
    domain = sesv2.get_email_identity(EmailIdentity="shop.example")
    assert (domain["IdentityType"], domain["VerifiedForSendingStatus"]) == ("DOMAIN", True)
    address = sesv2.get_email_identity(EmailIdentity="hello+news@shop.example")
    assert address["IdentityType"] == "EMAIL_ADDRESS"


def test_any_other_account_has_those_that_it_was_given(sesv2: Any, ses: ThreadedSimulator) -> None:
    ses.configure(identities=frozenset({"shop.example"}))
    assert sesv2.get_email_identity(EmailIdentity="shop.example")["DkimAttributes"]["Status"] == "SUCCESS"
    with pytest.raises(ClientError, match="NotFoundException"):
        sesv2.get_email_identity(EmailIdentity="hello@shop.example")


def test_a_configuration_set_reports_to_the_accounts_topic(sesv2: Any, ses: ThreadedSimulator) -> None:
    assert (
        sesv2.get_configuration_set_event_destinations(ConfigurationSetName="mail")["EventDestinations"] == []
    )
    ses.configure(feedback_topic="arn:aws:sns:us-east-1:123456789012:mail-SESFeedback")
    assert sesv2.get_configuration_set(ConfigurationSetName="mail")["SendingOptions"]["SendingEnabled"]
    (feedback,) = sesv2.get_configuration_set_event_destinations(ConfigurationSetName="mail")[
        "EventDestinations"
    ]
    assert feedback["SnsDestination"]["TopicArn"].endswith(":mail-SESFeedback")
    assert {"SEND", "BOUNCE", "COMPLAINT", "DELIVERY"} <= set(feedback["MatchingEventTypes"])


@pytest.mark.parametrize("ask", ["get_configuration_set", "get_configuration_set_event_destinations"])
def test_a_configuration_set_that_is_not_there_is_not_found(
    sesv2: Any, ses: ThreadedSimulator, ask: str
) -> None:
    ses.configure(configuration_sets=frozenset({"mail"}))
    with pytest.raises(ClientError, match="NotFoundException"):
        getattr(sesv2, ask)(ConfigurationSetName="other")
