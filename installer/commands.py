"""Install, upgrade, uninstall. Read each from top to bottom: it is what happens, in that order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer import preflight
from installer.cloud import Cloud
from installer.code_bucket import CodeBucket
from installer.data import Kept, delete, find_kept, import_request
from installer.first_email import first_email
from installer.parameters import ADMIN, Parameters, choose
from installer.problem import Problem, doing
from installer.release import Release
from installer.screen import Screen
from installer.stack import ChangeSet, Found, Stack

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

    cloud: Cloud
    release: Release
    screen: Screen
    name: str
    profile: str | None = None
    dry_run: bool = False

    def install(self, given: Mapping[str, str]) -> None:
        self.screen.heading(f"Installing SESMailEngine {self.release.version} as {self.name}")
        installed = self._settled()
        if installed is not None and installed.is_there:
            self._refuse_ruins(installed)
            raise Problem(
                f"The stack {self.name} is there already, in {self.cloud.region} ({installed.status}).",
                "Add --upgrade to bring it to this version, or choose another --stack-name.",
            )
        parameters = choose(self.release, given, {}, self.screen)
        self._preflight(parameters)
        left = list(find_kept(self.cloud, self.name, self.release.kept_template))
        if left:
            self.screen.note(
                f"Data of an earlier installation is there: {', '.join(map(str, left))}.",
                "The new stack takes it over as it is.",
            )
        if self.dry_run:
            self._tell_what_installing_would_do(left)
            return
        if not self.screen.confirm(f"Install into account {self.cloud.account}, {self.cloud.region}?"):
            raise Problem("Nothing was changed.", "Run again when you are ready.")
        self._upload()
        if left:
            self._take_over(left, parameters)
        self._finish(self._deploy("UPDATE" if left else "CREATE", parameters), parameters)

    def upgrade(self, given: Mapping[str, str]) -> None:
        self.screen.heading(f"Upgrading {self.name} to SESMailEngine {self.release.version}")
        installed = self._installed()
        known = {
            name: value for name, value in installed.parameters.items() if name in self.release.parameters
        }
        parameters = choose(self.release, given, known, self.screen)
        self._preflight(parameters)
        if self.dry_run:
            self._tell_what_upgrading_would_do(parameters)
            return
        self._upload()
        self._finish(self._deploy("UPDATE", parameters) or installed, parameters)

    def uninstall(self, *, delete_data: bool) -> None:
        self.screen.heading(f"Uninstalling {self.name}")
        installed = self._settled()
        kept = list(find_kept(self.cloud, self.name, self.release.kept_template))
        bucket = CodeBucket.of(self.cloud, self.name)
        self._check_uninstall(installed, kept, something=bucket.exists() or (delete_data and bool(kept)))
        self.screen.line(
            f"goes:     the stack with its functions, rules and alarms; the bucket {bucket.name}"
        )
        for one in kept:
            self.screen.line(f"{'DELETED' if delete_data else 'stays'}:".ljust(10) + str(one))
        if self.dry_run:
            self.screen.good("Nothing was changed: this was a dry run")
            return
        if not self._may_uninstall(delete_data=delete_data and bool(kept)):
            raise Problem("Nothing was changed.", "Run again when you are sure.")
        if installed is not None:
            Stack(self.cloud, self.name).delete(installed.stack_id, self.screen)
        if bucket.remove():
            self.screen.good(f"Deleted the bucket {bucket.name}")
        if delete_data:
            for one in kept:
                delete(self.cloud, one)
                self.screen.good(f"Deleted the {one}")
        elif kept:
            self.screen.good("The data stays, and the next installation under this name takes it over")
            self.screen.line(f"To delete it: python install.py --uninstall --delete-data {self._place()}")

    def _check_uninstall(self, installed: Found | None, kept: Sequence[Kept], *, something: bool) -> None:
        if installed is not None and installed.protected:
            raise Problem(
                f"The stack {self.name} is protected against deletion.",
                "aws cloudformation update-termination-protection --no-enable-termination-protection "
                f"--stack-name {self.name} --region {self.cloud.region}",
            )
        if installed is None and not something:
            stays = f" Its data stays: {', '.join(map(str, kept))}." if kept else ""
            raise Problem(
                f"There is no stack {self.name} in {self.cloud.region}.{stays}",
                "Add --delete-data to delete the data."
                if kept
                else "Name it with --stack-name, and its region with --region.",
            )

    def _may_uninstall(self, *, delete_data: bool) -> bool:
        if delete_data:
            return self.screen.confirm_by_typing(self.name, "All emails, suppressions and templates are lost")
        return self.screen.confirm("Uninstall?")

    def _settled(self) -> Found | None:
        """The stack, unless CloudFormation works on it just now."""
        found = Stack(self.cloud, self.name).find()
        if found is not None and found.status.endswith("_IN_PROGRESS") and found.is_there:
            raise Problem(
                f"CloudFormation works on the stack {self.name} just now ({found.status}).",
                "Wait until it is done, and run again.",
            )
        return found

    def _installed(self) -> Found:
        """The stack, in a state from which it can be upgraded."""
        found = self._settled()
        if found is None or not found.is_there:
            raise Problem(
                f"There is no stack {self.name} in {self.cloud.region}.",
                "Install it without --upgrade, or name another with --stack-name and --region.",
            )
        self._refuse_ruins(found)
        if found.status == "UPDATE_ROLLBACK_FAILED":
            raise Problem(
                f"An update of the stack {self.name} could not be rolled back.",
                f"aws cloudformation continue-update-rollback --stack-name {self.name} "
                f"--region {self.cloud.region}; then run again.",
            )
        return found

    def _refuse_ruins(self, found: Found) -> None:
        if found.status in {"ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED", "DELETE_FAILED"}:
            raise Problem(
                f"The stack {self.name} is what a failed operation left ({found.status}).",
                f"Remove it with --uninstall {self._place()}, which keeps the data, and install anew.",
            )

    def _preflight(self, parameters: Parameters) -> None:
        self.screen.heading("Looking at the account")
        findings = preflight.examine(self.cloud, self.name, parameters, self.release)
        preflight.report(findings, self.screen)

    def _upload(self) -> None:
        self.screen.heading("Uploading the code")
        bucket = CodeBucket.of(self.cloud, self.name)
        new = bucket.create()
        self.screen.good(f"{'Created' if new else 'Found'} the bucket {bucket.name}")
        for name, sent in bucket.upload(self.release):
            self.screen.good(f"{name} {'uploaded' if sent else 'is there'}")

    def _take_over(self, left: Sequence[Kept], parameters: Parameters) -> None:
        self.screen.heading("Taking over the data")
        request = import_request(left, self.release.kept_template)
        request["Parameters"] = parameters.request(self._code())
        change_set = Stack(self.cloud, self.name).prepare("IMPORT", **request)
        if change_set is not None:
            Stack(self.cloud, self.name).execute(change_set, "IMPORT_COMPLETE", self.screen)

    def _deploy(self, kind: str, parameters: Parameters) -> Found | None:
        """The changed stack; None when there was nothing to change."""
        self.screen.heading("Creating the stack" if kind == "CREATE" else "Updating the stack")
        stack = Stack(self.cloud, self.name)
        change_set = self._change_set(stack, kind, parameters)
        if change_set is None:
            self.screen.good("Nothing to change")
            return None
        if not self._agreed(change_set):
            stack.discard(change_set.arn)
            raise Problem("Nothing was changed.", "Run again when you are ready.")
        return stack.execute(change_set, f"{kind}_COMPLETE", self.screen)

    def _agreed(self, change_set: ChangeSet) -> bool:
        """A replacement is what a person must have seen: names are fixed, so it may fail, or begin empty."""
        replaced = [change for change in change_set.changes if change.replaces]
        for change in replaced:
            self.screen.note(str(change), "CloudFormation makes a new one in its place.")
        return not replaced or self.screen.confirm("Go on with these replacements?")

    def _change_set(self, stack: Stack, kind: str, parameters: Parameters) -> ChangeSet | None:
        bucket = CodeBucket.of(self.cloud, self.name)
        options: dict[str, Any] = {"OnStackFailure": "DELETE"} if kind == "CREATE" else {}
        return stack.prepare(
            kind,
            TemplateURL=bucket.url(self.release.template),
            Parameters=parameters.request(self._code()),
            **options,
        )

    def _code(self) -> dict[str, str]:
        return CodeBucket.of(self.cloud, self.name).keys(self.release.code)

    def _finish(self, stack: Found | None, parameters: Parameters) -> None:
        self.screen.heading("Starter templates")
        for outcome, names in self._seed().items():
            if names:
                self.screen.good(f"{_OUTCOMES.get(outcome, outcome)}: {', '.join(names)}")
        self.screen.heading("Done")
        for name, value in sorted((stack.outputs if stack else {}).items()):
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
                region=self.cloud.region,
                profile=self.profile,
                data=self.release.first_email_data,
            )
        )

    def _seed(self) -> dict[str, list[str]]:
        with doing("invoking the template seeder"):
            answer = self.cloud.client("lambda").invoke(
                FunctionName=f"{self.name}-TemplateSeeder", Qualifier="live", Payload=b"{}"
            )
        payload = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise Problem(
                f"The template seeder failed: {payload.get('errorMessage', payload)}",
                f"Its log says more: /aws/lambda/{self.name}-TemplateSeeder. Then run again with --upgrade.",
            )
        report: dict[str, list[str]] = payload
        return report

    def _tell_what_installing_would_do(self, left: Sequence[Kept]) -> None:
        bucket = CodeBucket.of(self.cloud, self.name)
        self.screen.heading("What would be done")
        self.screen.line(f"{'use' if bucket.exists() else 'create'} the bucket {bucket.name}")
        for artifact in (*self.release.code.values(), self.release.template):
            if not bucket.holds(artifact):
                self.screen.line(f"upload {artifact.path.name}")
        if left:
            self.screen.line(f"take over {len(left)} resources of an earlier installation")
        self.screen.line(f"create the stack {self.name}, and copy the starter templates")
        self.screen.good("Nothing was changed: this was a dry run")

    def _tell_what_upgrading_would_do(self, parameters: Parameters) -> None:
        """CloudFormation reads a template of this size from S3 only: it is put there, and taken out again."""
        self.screen.heading("What would be changed")
        bucket, template = CodeBucket.of(self.cloud, self.name), self.release.template
        if not bucket.exists():
            self.screen.note(
                f"There is no bucket {bucket.name} to show the template to CloudFormation from.",
                "What would be changed is known when --upgrade has made it.",
            )
            return
        borrowed = not bucket.holds(template)
        version = bucket.put(template) if borrowed else None
        try:
            stack = Stack(self.cloud, self.name)
            change_set = self._change_set(stack, "UPDATE", parameters)
            if change_set is None:
                self.screen.good("Nothing")
            else:
                for change in change_set.changes:
                    self.screen.line(str(change))
                stack.discard(change_set.arn)
        finally:
            if borrowed:
                bucket.take_out(template, version)
        self.screen.good("Nothing was changed: this was a dry run")

    def _place(self) -> str:
        profile = f" --profile {self.profile}" if self.profile else ""
        return f"--stack-name {self.name} --region {self.cloud.region}{profile}"
