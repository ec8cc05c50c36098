"""The three functions: the description's settings, variables, versions, failures and logs."""

from typing import Any, ClassVar

import pytest
from tests.support.synthesized import ACCOUNT, PINNED, REGION, SENDER, Deployed, deployed, synthesis

from engine.bootstrap.settings import FeedbackSettings, SenderSettings, read_settings
from infra.regions import LACKING

SENDER_FUNCTION = "engine.handlers.email_sender.handler"
PROCESSOR_FUNCTION = "engine.handlers.feedback_processor.handler"


def function(name: str, **given: Any) -> dict[str, Any]:
    return deployed(**given).properties("AWS::Lambda::Function", FunctionName=f"mail-{name}")


@pytest.mark.parametrize(
    ("name", "handler", "memory", "timeout", "concurrency"),
    [
        ("EmailSender", SENDER_FUNCTION, 512, "30", 14),
        ("FeedbackProcessor", PROCESSOR_FUNCTION, 256, 15, 100),
    ],
)
def test_a_function_has_the_memory_time_and_concurrency_of_the_description(
    name: str, handler: str, memory: int, timeout: object, concurrency: int
) -> None:
    settings = function(name)
    assert settings["Handler"] == handler
    assert settings["MemorySize"] == memory
    assert settings["Timeout"] == timeout
    assert settings["ReservedConcurrentExecutions"] == concurrency
    assert (settings["Runtime"], settings["Architectures"]) == ("python3.13", ["arm64"])


@pytest.mark.parametrize(
    ("name", "parameters", "memory", "timeout", "concurrency"),
    [
        ("EmailSender", {"SenderMemory": 1024, "SenderTimeout": 60, "SenderConcurrency": 50}, 1024, 60, 50),
        (
            "FeedbackProcessor",
            {"FeedbackMemory": 512, "FeedbackTimeout": 20, "FeedbackConcurrency": 10},
            512,
            20,
            10,
        ),
    ],
)
def test_parameters_change_memory_time_and_concurrency(
    name: str, parameters: dict[str, int], memory: int, timeout: int, concurrency: int
) -> None:
    settings = function(name, **parameters)
    assert (settings["MemorySize"], settings["Timeout"]) == (memory, timeout)
    assert settings["ReservedConcurrentExecutions"] == concurrency


def test_an_account_with_a_small_limit_reserves_nothing() -> None:
    given: dict[str, Any] = {"SenderConcurrency": 0, "FeedbackConcurrency": 0}
    for name in ("EmailSender", "FeedbackProcessor"):
        assert "ReservedConcurrentExecutions" not in function(name, **given)


def test_the_sender_gets_every_variable_of_the_contract() -> None:
    assert function("EmailSender")["Environment"]["Variables"] == {
        "TRACKING_TABLE": "mail-EmailTracking",
        "SUPPRESSION_TABLE": "mail-Suppression",
        "STATE_TABLE": "mail-State",
        "TEMPLATE_BUCKET": f"mail-templates-{ACCOUNT}",
        "RETRY_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/mail-EmailRetryQueue",
        "PARKED_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/mail-ParkedEmailQueue",
        "EVENT_BUS_NAME": "mail-EmailBus",
        "SES_CONFIGURATION_SET": "mail-ConfigSet",
        "BULK_CONFIGURATION_SET": "",
        "TENANT_NAME": "",
        "BULK_TENANT_NAME": "",
        "DEFAULT_SENDER_EMAIL": SENDER,
        "DEFAULT_SENDER_NAME": "",
        "ALLOWED_SENDERS": "",
        "BOUNCE_RATE_THRESHOLD": 5.0,
        "BOUNCE_RATE_MIN_SENDS": 100,
        "BOUNCE_RATE_ACTION": "fail",
        "DATA_RETENTION_DAYS": 90,
        "SES_MAX_SEND_RATE": 0.0,
        "BULK_SHARE": 0.8,
        "BULK_CALL_SIZE": 50,
        "TEMPLATE_CACHE_SECONDS": 300,
        "ENVIRONMENT": "prod",
        "LOG_LEVEL": "INFO",
    }


def test_the_feedback_processor_gets_every_variable_of_the_contract() -> None:
    assert function("FeedbackProcessor")["Environment"]["Variables"] == {
        "TRACKING_TABLE": "mail-EmailTracking",
        "SUPPRESSION_TABLE": "mail-Suppression",
        "STATE_TABLE": "mail-State",
        "RETRY_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/mail-EmailRetryQueue",
        "EVENT_BUS_NAME": "mail-EmailBus",
        "SES_FEEDBACK_TOPIC_ARN": f"arn:aws:sns:{REGION}:{ACCOUNT}:mail-SESFeedback",
        "DATA_RETENTION_DAYS": 90,
        "ENVIRONMENT": "prod",
        "LOG_LEVEL": "INFO",
    }


def test_the_functions_understand_what_the_stack_tells_them() -> None:
    sender, processor = (
        {key: str(value) for key, value in function(name)["Environment"]["Variables"].items()}
        for name in ("EmailSender", "FeedbackProcessor")
    )
    assert read_settings(SenderSettings, sender).sender.default_email == SENDER
    assert read_settings(FeedbackSettings, processor).tracking_table == "mail-EmailTracking"


def test_each_function_is_called_through_an_alias_of_a_published_version() -> None:
    stack = deployed()
    assert [alias["Properties"]["Name"] for alias in stack.all("AWS::Lambda::Alias").values()] == ["live"] * 3
    assert len(stack.all("AWS::Lambda::Version")) == 3


class TestSnapStart:
    @staticmethod
    def snapshots(stack: Deployed) -> dict[str, Any]:
        return {
            made["Properties"]["FunctionName"].removeprefix("mail-"): made["Properties"]["SnapStart"]
            for made in stack.all("AWS::Lambda::Function").values()
            if "SnapStart" in made["Properties"]
        }

    BOTH: ClassVar = {name: {"ApplyOn": "PublishedVersions"} for name in ("EmailSender", "FeedbackProcessor")}

    def test_the_functions_whose_start_somebody_waits_for_have_a_snapshot(self) -> None:
        assert self.snapshots(deployed()) == self.BOTH
        assert self.snapshots(deployed(SnapStart="false")) == {}

    @pytest.mark.parametrize("region", LACKING["snap_start"])
    def test_a_region_without_it_gets_none_whoever_wants_one(self, region: str) -> None:
        place = {"AWS::Region": region}
        assert self.snapshots(deployed(place=place)) == {}
        assert self.snapshots(Deployed(synthesis(**PINNED).template, place=place)) == {}

    def test_context_writes_it_down(self) -> None:
        assert self.snapshots(Deployed(synthesis(**PINNED).template)) == self.BOTH

    def test_a_change_without_effect_in_the_region_makes_no_new_version(self) -> None:
        """Lambda refuses to publish a version that equals the one before, and the update would fail."""

        def fingerprinted(region: str, wanted: str) -> Any:
            stack = deployed(place={"AWS::Region": region}, SnapStart=wanted)
            return stack.all("Custom::Fingerprint")

        assert fingerprinted("us-gov-west-1", "true") == fingerprinted("us-gov-west-1", "false")
        assert fingerprinted("eu-west-1", "true") != fingerprinted("eu-west-1", "false")


@pytest.mark.parametrize(
    ("name", "queue"), [("EmailSender", "EventBridgeDLQ"), ("FeedbackProcessor", "FeedbackProcessorDLQ")]
)
def test_an_event_that_a_function_fails_at_three_times_ends_in_its_dead_letter_queue(
    name: str, queue: str
) -> None:
    config = deployed().properties("AWS::Lambda::EventInvokeConfig", FunctionName=f"mail-{name}")
    assert (config["Qualifier"], config["MaximumRetryAttempts"]) == ("live", 2)
    assert config["DestinationConfig"] == {
        "OnFailure": {"Destination": f"arn:aws:sqs:{REGION}:{ACCOUNT}:mail-{queue}"}
    }


def test_the_starter_templates_are_seeded_again_when_they_change_and_after_all_that_may_fail() -> None:
    seeding = deployed().find("Custom::StarterTemplates", TemplatesDigest="templates-1")
    waits_for = " ".join(seeding["DependsOn"])
    for part in ("EmailSender", "FeedbackProcessor", "ConfigurationSet", "Bus"):
        assert part in waits_for


def test_logs_are_kept_a_month_or_as_long_as_a_parameter_says() -> None:
    choices: list[tuple[int, dict[str, Any]]] = [(30, {}), (365, {"LogRetentionDays": 365})]
    for days, given in choices:
        groups = deployed(**given).all("AWS::Logs::LogGroup").values()
        assert [int(group["Properties"]["RetentionInDays"]) for group in groups] == [days] * 3
    names = {group["Properties"]["LogGroupName"] for group in deployed().all("AWS::Logs::LogGroup").values()}
    assert names == {
        f"/aws/lambda/mail-{name}" for name in ("EmailSender", "FeedbackProcessor", "TemplateSeeder")
    }


def referred_to(part: Any, template: dict[str, Any]) -> set[str]:
    """The parameters that a part of a template hangs on, by themselves or by a condition."""
    text = str(part)
    for name, condition in template["Conditions"].items():
        if f"'Fn::If': ['{name}'" in text:
            text += str(condition)
    return {parameter for parameter in template["Parameters"] if f"'Ref': '{parameter}'" in text}


class TestVersions:
    """A version can't change: whatever the function's configuration is made of must make another one."""

    @pytest.mark.parametrize("name", ["EmailSender", "FeedbackProcessor", "Unsubscribe", "Webhook"])
    def test_every_parameter_of_a_functions_configuration_is_in_its_versions_fingerprint(
        self, name: str
    ) -> None:
        template = synthesis().template
        (configured,) = (
            resource["Properties"]
            for resource in template["Resources"].values()
            if resource["Type"] == "AWS::Lambda::Function"
            and str(resource["Properties"]["FunctionName"]).endswith(f"-{name}']]}}")
        )
        # Reserving concurrency is no part of a version.
        relevant = {k: v for k, v in configured.items() if k != "ReservedConcurrentExecutions"}
        used = referred_to(relevant, template)
        (fingerprint,) = (
            resource["Properties"]
            for logical, resource in template["Resources"].items()
            if resource["Type"] == "Custom::Fingerprint" and name in logical
        )
        assert fingerprint.keys() - {"ServiceToken", "ServiceTimeout"} == used

    @pytest.mark.parametrize("name", ["EmailSender", "FeedbackProcessor"])
    def test_the_fingerprint_is_the_versions_description(self, name: str) -> None:
        version = deployed().properties("AWS::Lambda::Version", FunctionName=f"mail-{name}")
        assert version["Description"].startswith(f"Fingerprints{name}")
        assert version["Description"].endswith(".Fingerprint")

    def test_a_setting_that_moves_from_parameter_to_context_changes_the_function_too(self) -> None:
        def described(**context: str) -> str:
            resources = synthesis(**context).template["Resources"].values()
            return next(
                str(resource["Properties"]["Description"])
                for resource in resources
                if resource.get("Properties", {}).get("Handler") == SENDER_FUNCTION
            )

        assert described() != described(**PINNED)
