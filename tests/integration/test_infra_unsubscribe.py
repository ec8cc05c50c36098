"""The hosted unsubscribe page in the template: only where it is wanted, with a role that can do little."""

from typing import Any

import pytest
from tests.support.synthesized import ACCOUNT, REGION, Deployed, deployed

from infra.regions import LACKING

HANDLER = "engine.handlers.unsubscribe.handler"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/mail-Suppression"


def hosted(**more: Any) -> Deployed:
    return deployed(HostedUnsubscribe="true", UnsubscribeTopics="news=Newsletter", **more)


def statement(sid: str) -> dict[str, Any]:
    (found,) = (one for one in hosted().statements(HANDLER) if one.get("Sid") == sid)
    return found


def test_nothing_of_the_page_is_there_unless_it_is_wanted() -> None:
    stack = deployed()
    assert stack.all("AWS::Lambda::Url") == stack.all("AWS::SecretsManager::Secret") == {}
    functions = stack.all("AWS::Lambda::Function").values()
    assert not [one for one in functions if one["Properties"]["Handler"] == HANDLER]


@pytest.mark.parametrize("region", LACKING["hosted_unsubscribe"])
def test_a_region_without_function_urls_gets_a_stack_without_the_page(region: str) -> None:
    stack = hosted(place={"AWS::Region": region})
    assert stack.all("AWS::Lambda::Url") == stack.all("AWS::SecretsManager::Secret") == {}


def test_the_page_has_an_address_that_anybody_may_ask() -> None:
    stack = hosted()
    assert stack.properties("AWS::Lambda::Url")["AuthType"] == "NONE"
    # Function URLs made since October 2025 need both: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    public = {
        one["Properties"]["Action"]: one["Properties"]
        for one in stack.all("AWS::Lambda::Permission").values()
        if one["Properties"]["Principal"] == "*"
    }
    assert public["lambda:InvokeFunctionUrl"]["FunctionUrlAuthType"] == "NONE"
    assert public["lambda:InvokeFunction"]["InvokedViaFunctionUrl"] is True
    function = stack.properties("AWS::Lambda::Function", FunctionName="mail-Unsubscribe")
    assert function["ReservedConcurrentExecutions"] == 2
    assert function["Environment"]["Variables"]["UNSUBSCRIBE_TOPICS"] == "news=Newsletter"


def test_nothing_is_reserved_for_the_page_where_an_account_has_little() -> None:
    function = hosted(UnsubscribeConcurrency="0").properties(
        "AWS::Lambda::Function", FunctionName="mail-Unsubscribe"
    )
    assert "ReservedConcurrentExecutions" not in function


def test_the_role_may_touch_rows_of_consent_its_secret_and_the_bus_and_nothing_else() -> None:
    allowed = {one["Sid"] for one in hosted().statements(HANDLER)}
    assert allowed == {"WriteLog", "EndConsent", "ReadAndRenewConsent", "ReadSigningKeys", "PublishChange"}
    end, renew = statement("EndConsent"), statement("ReadAndRenewConsent")
    assert end["Action"] == "dynamodb:PutItem"
    assert end["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*#*"]}}
    assert set(renew["Action"]) == {"dynamodb:GetItem", "dynamodb:DeleteItem"}
    assert end["Resource"] == renew["Resource"] == TABLE


def test_the_sender_knows_the_page_and_may_read_what_its_links_are_signed_with() -> None:
    stack = hosted()
    function = stack.properties("AWS::Lambda::Function", FunctionName="mail-EmailSender")
    variables = function["Environment"]["Variables"]
    assert variables["UNSUBSCRIBE_URL"]
    assert variables["UNSUBSCRIBE_SECRET_ARN"]
    may = {one["Sid"]: one for one in stack.statements("engine.handlers.email_sender.handler")}[
        "ReadSigningKeys"
    ]
    assert may["Action"] == "secretsmanager:GetSecretValue"
    secret = stack.properties("AWS::SecretsManager::Secret")["Name"]
    # Secrets Manager appends a dash and six letters.
    assert may["Resource"] == f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{secret}-??????"


def test_what_a_version_needs_to_start_is_in_its_role_from_the_beginning() -> None:
    """Publishing a version with SnapStart runs its init; a policy of its own may not be attached by then."""
    assert hosted(SignedWebhooks="true").all("AWS::IAM::Policy") == {}


def test_two_keys_sign_of_which_the_second_starts_empty() -> None:
    made = hosted().properties("AWS::SecretsManager::Secret", Name="mail-Unsubscribe")
    generated = made["GenerateSecretString"]
    assert generated["SecretStringTemplate"] == '{"previous": ""}'
    assert (generated["GenerateStringKey"], generated["PasswordLength"]) == ("current", 48)
