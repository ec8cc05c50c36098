"""Install, upgrade, uninstall. Read each from top to bottom: it is what happens, in that order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer import preflight
from installer.account import AwsAccount
from installer.code_bucket import CodeBucket
from installer.errors import InstallError, aws_errors
from installer.first_email import first_email
from installer.parameters import ADMIN, StackParameters, choose
from installer.release import Release
from installer.retained import (
    RetainedResource,
    Shape,
    delete,
    find_retained,
    import_request,
    record_shape,
    recorded_shape,
)
from installer.screen import Screen
from installer.stack import ChangeSet, CloudFormationStack, StackInfo, reject_failed_stack

# What became of each starter template, in the seeder's words and in ours.
_OUTCOMES = {
    "created": "copied to your bucket",
    "updated": "renewed",
    "unchanged": "in your bucket as delivered",
    "kept": "changed by you, and so left alone",
}


@dataclass(frozen=True)
class Installer:
    """Everything that a command works with. A dry run looks at everything and changes nothing."""

    account: AwsAccount
    release: Release
    screen: Screen
    name: str
    profile: str | None = None
    dry_run: bool = False

    def install(self, given: Mapping[str, str]) -> None:
        self.screen.heading(f"Installing SESMailEngine {self.release.version} as {self.name}")
        installed = self._idle_stack()
        if installed is not None and installed.exists:
            reject_failed_stack(installed, self.name, self._place)
            raise InstallError(
                f"The stack {self.name} is there already, in {self.account.region} ({installed.status}).",
                "Add --upgrade to bring it to this version, or choose another --stack-name.",
            )
        parameters = choose(self.release, given, {}, self.screen)
        self._preflight(parameters)
        retained = find_retained(self.account, self.name, self.release.retained_template)
        present = [one for one in retained if one.identifier]
        self._tell_of_retained(present, [one for one in retained if not one.identifier])
        bucket = self._code_bucket
        if self.dry_run:
            self.screen.heading("What would be done")
            self.screen.line(f"{'use' if bucket.exists() else 'create'} the bucket {bucket.name}")
            for artifact in (*self.release.code.values(), self.release.template):
                if not bucket.holds(artifact):
                    self.screen.line(f"upload {artifact.path.name}")
            if present:
                self.screen.line(f"take over {len(present)} resources of an earlier installation")
            self.screen.line(f"create the stack {self.name}, and copy the starter templates")
            self.screen.ok("Nothing was changed: this was a dry run")
            return
        if not self.screen.confirm(f"Install into account {self.account.account_id}, {self.account.region}?"):
            raise InstallError("Nothing was changed.", "Run again when you are ready.")
        self._upload()
        if present:
            self._take_over(present, parameters)
        deployed = self._deploy("UPDATE" if present else "CREATE", parameters)
        self._finish(deployed, parameters)

    def upgrade(self, given: Mapping[str, str]) -> None:
        self.screen.heading(f"Upgrading {self.name} to SESMailEngine {self.release.version}")
        installed = self._idle_stack()
        if installed is None or not installed.exists:
            raise InstallError(
                f"There is no stack {self.name} in {self.account.region}.",
                "Install it without --upgrade, or name another with --stack-name and --region.",
            )
        reject_failed_stack(installed, self.name, self._place)
        if installed.status == "UPDATE_ROLLBACK_FAILED":
            raise InstallError(
                f"An update of the stack {self.name} could not be rolled back.",
                f"aws cloudformation continue-update-rollback --stack-name {self.name} "
                f"--region {self.account.region}; then run again.",
            )
        known = {
            name: value for name, value in installed.parameters.items() if name in self.release.parameters
        }
        parameters = choose(self.release, given, known, self.screen)
        self._preflight(parameters)
        if self.dry_run:
            self._show_changes(parameters)
            return
        self._upload()
        self._finish(self._deploy("UPDATE", parameters) or installed, parameters)

    def uninstall(self, *, delete_data: bool) -> None:
        self.screen.heading(f"Uninstalling {self.name}")
        installed = self._idle_stack()
        retained = [
            one
            for one in find_retained(self.account, self.name, self.release.retained_template)
            if one.identifier
        ]
        bucket = self._code_bucket
        self._check_uninstall(installed, retained, delete_data=delete_data)
        self.screen.line(
            f"goes:     the stack with its functions, rules and alarms; the bucket {bucket.name}"
        )
        for one in retained:
            self.screen.line(f"{'DELETED' if delete_data else 'stays'}:".ljust(10) + str(one))
        if self.dry_run:
            self.screen.ok("Nothing was changed: this was a dry run")
            return
        if delete_data and retained:
            agreed = self.screen.confirm_by_typing(
                self.name, "All emails, suppressions and templates are lost"
            )
        else:
            agreed = self.screen.confirm("Uninstall?")
        if not agreed:
            raise InstallError("Nothing was changed.", "Run again when you are sure.")
        if installed is not None:
            self._stack.delete(installed.stack_id, self.screen)
        if bucket.remove():
            self.screen.ok(f"Deleted the bucket {bucket.name}")
        if delete_data:
            for one in retained:
                delete(self.account, one)
                self.screen.ok(f"Deleted the {one}")
        elif retained:
            self.screen.ok("The data stays, and the next installation under this name takes it over")
            self.screen.line(f"To delete it: python install.py --uninstall --delete-data {self._place}")

    def _check_uninstall(
        self, installed: StackInfo | None, retained: Sequence[RetainedResource], *, delete_data: bool
    ) -> None:
        if installed is not None and installed.protected:
            raise InstallError(
                f"The stack {self.name} is protected against deletion.",
                "aws cloudformation update-termination-protection --no-enable-termination-protection "
                f"--stack-name {self.name} --region {self.account.region}",
            )
        if installed is None and not self._code_bucket.exists() and not (delete_data and retained):
            stays = f" Its data stays: {', '.join(map(str, retained))}." if retained else ""
            raise InstallError(
                f"There is no stack {self.name} in {self.account.region}.{stays}",
                "Add --delete-data to delete the data."
                if retained
                else "Name it with --stack-name, and its region with --region.",
            )

    @property
    def _stack(self) -> CloudFormationStack:
        return CloudFormationStack(self.account, self.name)

    @property
    def _code_bucket(self) -> CodeBucket:
        return CodeBucket(self.account, self.name)

    @property
    def _place(self) -> str:
        """The flags that lead to this stack."""
        profile = f" --profile {self.profile}" if self.profile else ""
        return f"--stack-name {self.name} --region {self.account.region}{profile}"

    def _idle_stack(self) -> StackInfo | None:
        """The stack; raises `InstallError` while CloudFormation works on it."""
        info = self._stack.find()
        if info is not None and info.status.endswith("_IN_PROGRESS") and info.exists:
            raise InstallError(
                f"CloudFormation works on the stack {self.name} just now ({info.status}).",
                "Wait until it is done, and run again.",
            )
        return info

    def _preflight(self, parameters: StackParameters) -> None:
        self.screen.heading("Looking at the account")
        results = preflight.examine(self.account, self.name, parameters, self.release)
        preflight.report(results, self.screen)

    def _tell_of_retained(
        self, present: Sequence[RetainedResource], missing: Sequence[RetainedResource]
    ) -> None:
        if not present:
            return
        listed = ", ".join(map(str, present))
        if not missing:
            self.screen.note(
                f"Data of an earlier installation is there: {listed}.",
                "The new stack takes it over as it is.",
            )
            return
        self.screen.note(
            f"Only a part of an earlier installation's data is left: {listed}. "
            f"Missing: {', '.join(map(str, missing))}.",
            "The new stack takes over what is there, and makes the rest anew and empty. If a missing table "
            "has a backup, restore it under its name first (aws dynamodb restore-table-from-backup or "
            "restore-table-to-point-in-time): without Suppression, addresses that must not be written to get "
            f"mail again. To begin with nothing: --uninstall --delete-data {self._place}",
        )

    def _upload(self) -> None:
        self.screen.heading("Uploading the code")
        bucket = self._code_bucket
        new = bucket.create()
        self.screen.ok(f"{'Created' if new else 'Found'} the bucket {bucket.name}")
        for name, sent in bucket.upload(self.release):
            self.screen.ok(f"{name} {'uploaded' if sent else 'is there'}")

    def _take_over(self, present: Sequence[RetainedResource], parameters: StackParameters) -> None:
        self.screen.heading("Taking over the data")
        template = self.release.retained_template
        shape = recorded_shape(self.account, self.name, template)
        if shape is None:
            self.screen.note(
                "How the data was deployed is not recorded beside it; it is taken to be as in this release.",
                "CloudFormation's drift detection shows where it differs.",
            )
            shape = Shape(template, parameters.request(self._code_bucket.keys(self.release.code)))
        change_set = self._stack.prepare("IMPORT", **import_request(present, shape))
        if change_set is not None:
            self._stack.execute(change_set, "IMPORT_COMPLETE", self.screen)

    def _change_set(self, kind: str, parameters: StackParameters) -> ChangeSet | None:
        bucket = self._code_bucket
        options: dict[str, Any] = {"OnStackFailure": "DELETE"} if kind == "CREATE" else {}
        return self._stack.prepare(
            kind,
            TemplateURL=bucket.url(self.release.template),
            Parameters=parameters.request(bucket.keys(self.release.code)),
            **options,
        )

    def _deploy(self, kind: str, parameters: StackParameters) -> StackInfo | None:
        """The changed stack; None when there was nothing to change."""
        self.screen.heading("Creating the stack" if kind == "CREATE" else "Updating the stack")
        change_set = self._change_set(kind, parameters)
        if change_set is None:
            self.screen.ok("Nothing to change")
            return None
        # A replacement is what a person must have seen: names are fixed, so it may fail, or begin empty.
        replaced = [change for change in change_set.changes if change.replaces]
        for change in replaced:
            self.screen.note(str(change), "CloudFormation makes a new one in its place.")
        if replaced and not self.screen.confirm("Go on with these replacements?"):
            self._stack.discard(change_set.arn)
            raise InstallError("Nothing was changed.", "Run again when you are ready.")
        return self._stack.execute(change_set, f"{kind}_COMPLETE", self.screen)

    def _finish(self, deployed: StackInfo | None, parameters: StackParameters) -> None:
        if deployed is not None:
            record_shape(self.account, self.name, self.release.retained_template, deployed.parameters)
        self.screen.heading("Starter templates")
        for outcome, names in self._seed().items():
            if names:
                self.screen.ok(f"{_OUTCOMES.get(outcome, outcome)}: {', '.join(names)}")
        self.screen.heading("Done")
        for name, value in sorted((deployed.outputs if deployed else {}).items()):
            self.screen.line(f"{name:28}{value}")
        if parameters[ADMIN]:
            self.screen.note(
                f"Alarms go to {parameters[ADMIN]}.", "Confirm the subscription: AWS has sent an email there."
            )
        self.screen.heading("Send a first email, to SES's mailbox simulator, which takes every one:")
        self.screen.line()
        self.screen.line(
            first_email(
                bus=f"{self.name}-EmailBus",
                region=self.account.region,
                profile=self.profile,
                data=self.release.first_email_data,
            )
        )

    def _seed(self) -> dict[str, list[str]]:
        with aws_errors("invoking the template seeder"):
            answer = self.account.client("lambda").invoke(
                FunctionName=f"{self.name}-TemplateSeeder", Qualifier="live", Payload=b"{}"
            )
        payload = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise InstallError(
                f"The template seeder failed: {payload.get('errorMessage', payload)}",
                f"Its log says more: /aws/lambda/{self.name}-TemplateSeeder. Then run again with --upgrade.",
            )
        report: dict[str, list[str]] = payload
        return report

    def _show_changes(self, parameters: StackParameters) -> None:
        """CloudFormation reads a template of this size from S3 only: it is put there, and taken out again."""
        self.screen.heading("What would be changed")
        bucket, template = self._code_bucket, self.release.template
        if not bucket.exists():
            self.screen.note(
                f"There is no bucket {bucket.name} to show the template to CloudFormation from.",
                "What would be changed is known when --upgrade has made it.",
            )
            return
        borrowed = not bucket.holds(template)
        version = bucket.put(template) if borrowed else None
        try:
            change_set = self._change_set("UPDATE", parameters)
            if change_set is None:
                self.screen.ok("Nothing")
            else:
                for change in change_set.changes:
                    self.screen.line(str(change))
                self._stack.discard(change_set.arn)
        finally:
            if borrowed:
                bucket.take_out(template, version)
        self.screen.ok("Nothing was changed: this was a dry run")
