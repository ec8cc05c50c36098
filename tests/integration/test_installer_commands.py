"""Install, upgrade, uninstall: what is done in which order, and what is said when it can't be."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.installer_aws import (
    ACCOUNT,
    CODE,
    SENDER,
    STACK,
    TEMPLATES,
    CloudFormation,
    FakeAccount,
    FakeScreen,
    Functions,
    Ses,
    event,
    unpacked_package,
)

from installer.code_bucket import CodeBucket
from installer.commands import Installer
from installer.errors import InstallError
from installer.release import Release, read_release


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return read_release(unpacked_package(tmp_path))


def installer(account: FakeAccount, release: Release, talk: FakeScreen, **more: Any) -> Installer:
    return Installer(account.aws, release, talk.screen, STACK, **more)


def error_of(account: FakeAccount, release: Release, talk: FakeScreen | None = None) -> str:
    with pytest.raises(InstallError) as caught:
        installer(account, release, talk or FakeScreen()).install(SENDER)
    return f"{' '.join(caught.value.message.split())} -> {caught.value.remedy}"


class TestInstall:
    def test_it_makes_a_safe_bucket_sends_each_content_once_deploys_and_seeds(self, release: Release) -> None:
        account, talk = FakeAccount(), FakeScreen()
        installer(account, release, talk).install({**SENDER, "AdminEmail": "ops@shop.example"})

        settings = {name: request for name, request in account.s3.calls if name != "create_bucket"}
        assert set(settings) == {
            "put_public_access_block",
            "put_bucket_tagging",
            "put_bucket_versioning",
            "put_bucket_encryption",
            "put_bucket_policy",
        }
        assert settings["put_bucket_tagging"]["Tagging"] == {
            "TagSet": [{"Key": "sesmailengine:stack", "Value": STACK}]
        }
        assert all(request["ExpectedBucketOwner"] == ACCOUNT for request in settings.values())
        (statement,) = json.loads(settings["put_bucket_policy"]["Policy"])["Statement"]
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert len({key for bucket, key in account.s3.objects if bucket == CODE}) == 3  # two functions share

        (change_set,) = account.cloudformation.change_sets
        assert change_set["ChangeSetType"] == "CREATE"
        assert change_set["OnStackFailure"] == "DELETE"
        address = f"https://s3.eu-west-1.amazonaws.com/{CODE}/{release.template.key}"
        assert change_set["TemplateURL"] == address
        values = {one["ParameterKey"]: one["ParameterValue"] for one in change_set["Parameters"]}
        assert values == {
            "CodeBucket": CODE,
            "EmailSenderCodeKey": release.code["EmailSenderCodeKey"].key,
            "FeedbackProcessorCodeKey": release.code["EmailSenderCodeKey"].key,
            "TemplateSeederCodeKey": release.code["TemplateSeederCodeKey"].key,
            "DefaultSenderEmail": "hello@shop.example",
            "AdminEmail": "ops@shop.example",
        }
        assert "copied to your bucket: welcome" in talk.said
        assert "Confirm the subscription" in talk.said
        assert "aws events put-events" in talk.said

    @pytest.mark.parametrize(
        ("region", "expected"),
        [
            ("us-east-1", {}),
            ("eu-west-1", {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}),
        ],
    )
    def test_s3_is_told_the_region_unless_it_takes_it_for_granted(
        self, region: str, expected: dict[str, Any]
    ) -> None:
        account = FakeAccount()
        CodeBucket(replace(account.aws, region=region), STACK).create()
        assert account.s3.calls[0] == ("create_bucket", {"Bucket": CODE, **expected})

    def test_what_is_in_the_bucket_already_is_not_sent_again(self, release: Release) -> None:
        bucket = CodeBucket(FakeAccount().aws, STACK)
        bucket.create()
        assert [sent for _, sent in bucket.upload(release)] == [True, False, True, True]
        assert not any(sent for _, sent in bucket.upload(release))

    def test_a_dry_run_tells_what_would_be_done_and_changes_nothing(self, release: Release) -> None:
        account, talk = FakeAccount(), FakeScreen()
        installer(account, release, talk, dry_run=True).install(SENDER)
        assert f"create the bucket {CODE}" in talk.said
        assert f"create the stack {STACK}" in talk.said
        assert (account.s3.owners, account.cloudformation.change_sets) == ({}, [])

    def test_whoever_does_not_agree_gets_nothing_changed(self, release: Release) -> None:
        account = FakeAccount()
        assert "Nothing was changed" in error_of(account, release, FakeScreen("", "no", agreed=False))
        assert account.s3.owners == {}

    def test_a_stack_that_is_there_is_not_installed_over(self, release: Release) -> None:
        account = FakeAccount(cloudformation=CloudFormation("CREATE_COMPLETE"))
        assert "--upgrade" in error_of(account, release)

    @pytest.mark.parametrize(
        "status", ["DELETE_FAILED", "IMPORT_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_FAILED"]
    )
    def test_what_a_failed_installation_left_is_to_be_removed_first(
        self, release: Release, status: str
    ) -> None:
        account = FakeAccount(cloudformation=CloudFormation(status))
        text = error_of(account, release)
        assert f"what a failed operation left ({status})" in text
        assert "--uninstall" in text
        assert "keeps the data" in text

    def test_a_code_bucket_in_another_region_is_a_clash_of_names(self, release: Release) -> None:
        account = FakeAccount()
        account.s3.owners[CODE] = ACCOUNT
        account.s3.regions[CODE] = "us-east-1"
        assert f"The bucket {CODE} is in us-east-1" in error_of(account, release)

    @pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "IMPORT_ROLLBACK_IN_PROGRESS"])
    def test_a_stack_that_cloudformation_works_on_is_left_alone(self, release: Release, status: str) -> None:
        account = FakeAccount(cloudformation=CloudFormation(status))
        assert "Wait until it is done" in error_of(account, release)

    def test_what_an_abandoned_change_set_left_is_no_obstacle(self, release: Release) -> None:
        account = FakeAccount(cloudformation=CloudFormation("REVIEW_IN_PROGRESS"))
        installer(account, release, FakeScreen()).install(SENDER)
        assert account.cloudformation.status == "CREATE_COMPLETE"

    def test_every_obstacle_is_shown_before_it_stops(self, release: Release) -> None:
        account, talk = FakeAccount(sesv2=Ses({}), functions=Functions(limit=10)), FakeScreen()
        assert "not ready: see STOP above" in error_of(account, release, talk)
        assert talk.said.count("STOP") == 2

    def test_a_bucket_of_another_account_is_a_clash_of_names(self, release: Release) -> None:
        account = FakeAccount()
        account.s3.owners[TEMPLATES] = "999999999999"
        text = error_of(account, release)
        assert f"{TEMPLATES} belongs to another account" in text
        assert "another --stack-name" in text

    def test_a_bucket_in_another_region_is_a_clash_of_names(self, release: Release) -> None:
        account = FakeAccount()
        account.s3.owners[TEMPLATES] = ACCOUNT
        account.s3.regions[TEMPLATES] = "us-east-1"
        assert "or work in that region with --region us-east-1" in error_of(account, release)

    def test_data_of_an_earlier_installation_is_taken_over_first(self, release: Release) -> None:
        account, talk = FakeAccount(), FakeScreen()
        account.s3.owners[TEMPLATES] = ACCOUNT
        account.dynamodb.names.add(f"{STACK}-EmailTracking")
        account.sqs.names.add("retries")
        installer(account, release, talk).install(SENDER)
        taken, updated = account.cloudformation.change_sets
        assert taken["ChangeSetType"] == "IMPORT"
        assert [one["ResourceIdentifier"] for one in taken["ResourcesToImport"]] == [
            {"TableName": f"{STACK}-EmailTracking"},
            {"BucketName": TEMPLATES},
            {"QueueUrl": "https://sqs/retries"},
        ]
        template = json.loads(taken["TemplateBody"])
        assert set(template["Resources"]) == {"Tracking", "Templates", "Retries"}
        assert {one["DeletionPolicy"] for one in template["Resources"].values()} == {"Retain"}
        assert set(template["Parameters"]) == {"CodeBucket"}
        assert updated["ChangeSetType"] == "UPDATE"
        assert "The new stack takes it over" in talk.said
        assert "is not recorded beside it" in talk.said

    def test_data_is_taken_over_in_the_shape_it_was_deployed_with_and_then_changed(
        self, release: Release
    ) -> None:
        """CloudFormation compares templates, not resources: what an import claims is never made."""
        account = FakeAccount()
        account.cloudformation.parameters = {**SENDER, "CodeBucket": CODE, "SenderTimeout": "60"}
        installer(account, release, FakeScreen()).install(SENDER)
        account.cloudformation.status = None
        account.s3.owners[TEMPLATES] = ACCOUNT
        account.dynamodb.names.add(f"{STACK}-EmailTracking")

        resources = json.loads(json.dumps(release.retained_template["Resources"]))
        resources["Tracking"]["Properties"]["GlobalSecondaryIndexes"] = [{"IndexName": "new"}]
        newer = replace(release, retained_template={**release.retained_template, "Resources": resources})
        talk = FakeScreen()
        installer(account, newer, talk).install(SENDER)

        _, taken, updated = account.cloudformation.change_sets
        imported = json.loads(taken["TemplateBody"])["Resources"]
        assert "GlobalSecondaryIndexes" not in imported["Tracking"]["Properties"]
        assert taken["Parameters"] == [{"ParameterKey": "CodeBucket", "ParameterValue": CODE}]
        assert updated["ChangeSetType"] == "UPDATE"
        assert "is not recorded" not in talk.said

    def test_where_only_a_part_of_the_data_is_left_it_says_what_is_missing_and_what_to_do(
        self, release: Release
    ) -> None:
        account, talk = FakeAccount(), FakeScreen()
        account.sqs.names.add("retries")
        installer(account, release, talk).install(SENDER)
        assert "Only a part of an earlier installation's data is left: queue retries." in talk.said
        assert f"Missing: table {STACK}-EmailTracking, bucket {TEMPLATES}." in talk.said
        assert "restore-table-from-backup" in talk.said
        assert "--uninstall --delete-data --stack-name shop-mail" in talk.said
        taken, _ = account.cloudformation.change_sets
        assert len(taken["ResourcesToImport"]) == 1

    def test_a_failed_creation_names_the_cause_and_not_its_consequences(self, release: Release) -> None:
        account, talk = FakeAccount(), FakeScreen()
        account.cloudformation.ends = "DELETE_COMPLETE"
        account.cloudformation.events = [
            event(1, "CREATE_COMPLETE", "Bus95A03305", "AWS::Events::EventBus"),
            event(2, "CREATE_FAILED", "Queue", "AWS::SQS::Queue", "Resource creation cancelled"),
            event(3, "CREATE_FAILED", "Table", "AWS::DynamoDB::Table", "shop-mail-State already exists"),
            event(4, "ROLLBACK_IN_PROGRESS", STACK, "AWS::CloudFormation::Stack", "[Table, Queue] failed"),
        ]
        text = error_of(account, release, talk)
        assert "ended in DELETE_COMPLETE instead of CREATE_COMPLETE: Table: shop-mail-State" in text
        assert "cancelled" not in text
        assert "not of an earlier installation" in text
        assert "CREATE_COMPLETE Events EventBus Bus " in talk.said

    def test_an_error_about_firehose_is_explained_as_what_it_hides(self, release: Release) -> None:
        account = FakeAccount()
        account.cloudformation.ends = "ROLLBACK_COMPLETE"
        account.cloudformation.events = [
            event(
                1,
                "CREATE_FAILED",
                "Feedback",
                "AWS::SES::ConfigurationSetEventDestination",
                'Cannot invoke "software.amazon.awssdk.services.ses.model.KinesisFirehoseDestination'
                '.iamRoleARN()" because the return value of'
                ' "EventDestination.kinesisFirehoseDestination()" is null',
            )
        ]
        text = error_of(account, release)
        assert "This is not about Firehose" in text
        assert "SES could not publish to the stack's topic" in text
        assert "Run the same command again" in text

    def test_a_refused_change_set_says_why_and_is_removed(self, release: Release) -> None:
        account = FakeAccount(cloudformation=CloudFormation(refused="The template uses too much"))
        assert "can't make these changes: The template uses too much" in error_of(account, release)
        assert account.cloudformation.discarded == ["change-set-1"]

    def test_a_failed_seeder_says_where_its_log_is(self, release: Release) -> None:
        account = FakeAccount(functions=Functions(seeder={"errorMessage": "NoSuchBucket"}))
        text = error_of(account, release)
        assert "NoSuchBucket" in text
        assert f"/aws/lambda/{STACK}-TemplateSeeder" in text

    def test_it_waits_for_cloudformation_and_shows_each_event_once(
        self, release: Release, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account, talk = FakeAccount(), FakeScreen()
        formation = account.cloudformation
        formation.ends = "CREATE_IN_PROGRESS"
        formation.events = [event(1, "CREATE_COMPLETE", "Bus", "AWS::Events::EventBus")]

        def finish() -> None:
            formation.status = "CREATE_COMPLETE"
            formation.told = [*formation.told, event(2, "CREATE_COMPLETE", "Rule", "AWS::Events::Rule")]

        monkeypatch.setattr(account, "waits", _Waits(finish))
        installer(account, release, talk).install(SENDER)
        assert talk.said.count("EventBus Bus") == 1
        assert talk.said.count("Events Rule Rule") == 1


class TestUpgrade:
    def account(self, **more: Any) -> FakeAccount:
        known = {**SENDER, "LogLevel": "DEBUG", "Gone": "x", "CodeBucket": "old"}
        account = FakeAccount(cloudformation=CloudFormation("CREATE_COMPLETE", known, **more))
        account.s3.owners[CODE] = ACCOUNT
        return account

    def test_parameters_that_are_not_given_anew_keep_their_values(self, release: Release) -> None:
        account = self.account()
        installer(account, release, FakeScreen()).upgrade({"SenderMemory": "1024"})
        (change_set,) = account.cloudformation.change_sets
        assert change_set["ChangeSetType"] == "UPDATE"
        by_name = {one["ParameterKey"]: one for one in change_set["Parameters"]}
        assert by_name["SenderMemory"]["ParameterValue"] == "1024"
        assert by_name["LogLevel"] == {"ParameterKey": "LogLevel", "UsePreviousValue": True}
        assert by_name["DefaultSenderEmail"]["UsePreviousValue"]
        assert by_name["CodeBucket"]["ParameterValue"] == CODE
        assert "Gone" not in by_name

    def test_when_nothing_changes_that_is_said(self, release: Release) -> None:
        account, talk = (
            self.account(refused="The submitted information didn't contain changes."),
            FakeScreen(),
        )
        installer(account, release, talk).upgrade({})
        assert "Nothing to change" in talk.said

    def test_what_an_import_began_is_brought_to_its_end(self, release: Release) -> None:
        account = self.account()
        account.cloudformation.status = "IMPORT_COMPLETE"
        installer(account, release, FakeScreen()).upgrade({})
        assert account.cloudformation.status == "UPDATE_COMPLETE"

    def test_a_value_of_the_installed_stack_that_this_release_refuses_is_named_before_anything_changes(
        self, release: Release
    ) -> None:
        account = self.account()
        account.cloudformation.parameters["SenderMemory"] = "64"
        with pytest.raises(
            InstallError, match=r"SenderMemory: .*which the installed stack has; give another"
        ):
            installer(account, release, FakeScreen()).upgrade({})
        assert account.cloudformation.change_sets == []
        installer(account, release, FakeScreen()).upgrade({"SenderMemory": "256"})

    def test_without_a_stack_there_is_nothing_to_upgrade(self, release: Release) -> None:
        with pytest.raises(InstallError, match="There is no stack shop-mail in eu-west-1"):
            installer(FakeAccount(), release, FakeScreen()).upgrade({})

    def test_what_a_failed_operation_left_is_to_be_removed_first(self, release: Release) -> None:
        account = FakeAccount(cloudformation=CloudFormation("ROLLBACK_COMPLETE"))
        with pytest.raises(InstallError, match="ROLLBACK_COMPLETE") as caught:
            installer(account, release, FakeScreen(), profile="work").upgrade({})
        assert "--uninstall --stack-name shop-mail --region eu-west-1 --profile work" in caught.value.remedy

    def test_an_update_that_could_not_be_rolled_back_is_to_be_continued_first(self, release: Release) -> None:
        account = FakeAccount(cloudformation=CloudFormation("UPDATE_ROLLBACK_FAILED"))
        with pytest.raises(InstallError, match="could not be rolled back") as caught:
            installer(account, release, FakeScreen()).upgrade({})
        assert "continue-update-rollback --stack-name shop-mail" in caught.value.remedy

    def test_a_dry_run_lists_the_changes_and_takes_the_template_out_again(self, release: Release) -> None:
        account = self.account(changes=[_change("Modify", "Sender"), _change("Add", "Alarm")])
        talk = FakeScreen()
        installer(account, release, talk, dry_run=True).upgrade({})
        assert "Modify Lambda Function Sender Add Lambda Function Alarm" in talk.said
        assert account.cloudformation.discarded == ["change-set-1"]
        assert account.s3.objects == {}

    def test_a_dry_run_of_no_change_says_so(self, release: Release) -> None:
        account, talk = self.account(refused="No updates are to be performed."), FakeScreen()
        installer(account, release, talk, dry_run=True).upgrade({})
        assert "ok Nothing ok" in talk.said

    def test_a_dry_run_without_code_bucket_makes_none(self, release: Release) -> None:
        account, talk = FakeAccount(cloudformation=CloudFormation("CREATE_COMPLETE", SENDER)), FakeScreen()
        installer(account, release, talk, dry_run=True).upgrade({})
        assert f"There is no bucket {CODE}" in talk.said
        assert account.s3.owners == {}

    def test_a_replacement_needs_a_yes_of_its_own(self, release: Release) -> None:
        account = self.account(changes=[_change("Modify", "Tracking", replacement="True")])
        talk = FakeScreen("", "n", agreed=False)
        with pytest.raises(InstallError, match="Nothing was changed"):
            installer(account, release, talk).upgrade({})
        assert "Tracking (REPLACED)" in talk.said
        assert account.cloudformation.discarded == ["change-set-1"]


class TestUninstall:
    def account(self) -> FakeAccount:
        account = FakeAccount(cloudformation=CloudFormation("CREATE_COMPLETE"))
        account.s3.owners |= {TEMPLATES: ACCOUNT, CODE: ACCOUNT}
        account.s3.objects |= {(TEMPLATES, "welcome"): b"", (CODE, "zip"): b""}
        account.dynamodb.names.add(f"{STACK}-EmailTracking")
        account.sqs.names.add("retries")
        return account

    def test_the_stack_and_its_code_go_and_the_data_stays(self, release: Release) -> None:
        account, talk = self.account(), FakeScreen()
        installer(account, release, talk).uninstall(delete_data=False)
        assert account.cloudformation.status == "DELETE_COMPLETE"
        assert account.s3.objects == {(TEMPLATES, "welcome"): b""}
        assert account.dynamodb.names == {f"{STACK}-EmailTracking"}
        assert account.sqs.names == {"retries"}
        assert f"stays: table {STACK}-EmailTracking" in talk.said
        assert "takes it over" in talk.said

    def test_a_policy_that_is_attached_to_somebody_stops_it_with_what_to_do(self, release: Release) -> None:
        account = self.account()
        account.cloudformation.ends = "DELETE_FAILED"
        reason = "Cannot delete a policy attached to entities. (Service: Iam, Status Code: 409)"
        account.cloudformation.events = [
            event(1, "DELETE_FAILED", "Support", "AWS::IAM::ManagedPolicy", reason)
        ]
        with pytest.raises(InstallError) as caught:
            installer(account, release, FakeScreen()).uninstall(delete_data=False)
        assert "Detach the stack's policies, -Support, -Operator and -Privacy" in caught.value.remedy

    def test_data_is_deleted_when_asked_for_even_if_it_is_protected(self, release: Release) -> None:
        account = self.account()
        account.dynamodb.protected = True
        installer(account, release, FakeScreen()).uninstall(delete_data=True)
        assert (account.s3.owners, account.dynamodb.names, account.sqs.names) == ({}, set(), set())

    @pytest.mark.parametrize(("delete_data", "answer"), [(False, "n"), (True, "yes")])
    def test_a_wrong_answer_deletes_nothing(
        self, release: Release, *, delete_data: bool, answer: str
    ) -> None:
        account = self.account()
        with pytest.raises(InstallError, match="Nothing was changed"):
            installer(account, release, FakeScreen(answer, agreed=False)).uninstall(delete_data=delete_data)
        assert account.cloudformation.status == "CREATE_COMPLETE"

    def test_the_name_of_the_stack_is_the_answer_that_deletes_data(self, release: Release) -> None:
        account = self.account()
        installer(account, release, FakeScreen(STACK, agreed=False)).uninstall(delete_data=True)
        assert account.dynamodb.names == set()

    def test_a_dry_run_tells_what_goes_and_stays(self, release: Release) -> None:
        account, talk = self.account(), FakeScreen()
        installer(account, release, talk, dry_run=True).uninstall(delete_data=True)
        assert "DELETED: queue retries" in talk.said
        assert account.cloudformation.status == "CREATE_COMPLETE"

    def test_without_stack_the_data_that_stayed_is_named_and_can_be_deleted(self, release: Release) -> None:
        account = self.account()
        account.cloudformation.status = None
        del account.s3.owners[CODE]
        with pytest.raises(InstallError, match="There is no stack") as caught:
            installer(account, release, FakeScreen()).uninstall(delete_data=False)
        assert "--delete-data" in caught.value.remedy
        installer(account, release, FakeScreen()).uninstall(delete_data=True)
        assert account.dynamodb.names == set()

    def test_with_nothing_there_the_name_is_questioned(self, release: Release) -> None:
        with pytest.raises(InstallError) as caught:
            installer(FakeAccount(), release, FakeScreen()).uninstall(delete_data=True)
        assert "--stack-name" in caught.value.remedy

    def test_a_protected_stack_is_not_touched(self, release: Release) -> None:
        account = self.account()
        account.cloudformation.protected = True
        with pytest.raises(InstallError, match="protected against deletion") as caught:
            installer(account, release, FakeScreen()).uninstall(delete_data=False)
        assert "update-termination-protection" in caught.value.remedy

    def test_a_resource_that_can_not_be_deleted_is_named(self, release: Release) -> None:
        account = self.account()
        account.cloudformation.ends = "DELETE_FAILED"
        account.cloudformation.events = [
            event(1, "DELETE_FAILED", "Role", "AWS::IAM::Role", "You are not authorized to do this")
        ]
        with pytest.raises(InstallError, match=r"(?s)DELETE_FAILED.*Role: You are not authorized") as caught:
            installer(account, release, FakeScreen()).uninstall(delete_data=False)
        assert "permissions" in caught.value.remedy

    def test_an_object_that_s3_keeps_is_named(self, release: Release) -> None:
        account = self.account()
        account.s3.undeletable = ("zip",)
        with pytest.raises(InstallError, match=f"S3 does not delete zip in {CODE}: AccessDenied: locked"):
            installer(account, release, FakeScreen()).uninstall(delete_data=False)


class _Waits(list[float]):
    """A record of waits that makes something happen at each."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens

    def append(self, seconds: float) -> None:
        super().append(seconds)
        self._happens()


def _change(action: str, logical_id: str, replacement: str = "False") -> dict[str, Any]:
    return {
        "ResourceChange": {
            "Action": action,
            "LogicalResourceId": logical_id,
            "ResourceType": "AWS::Lambda::Function",
            "Replacement": replacement,
        }
    }
