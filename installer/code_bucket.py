"""The bucket that CloudFormation takes template and code from. It holds nobody's data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from installer.account import AwsAccount, get_or_none
from installer.errors import InstallError, aws_errors, error_code
from installer.release import Artifact, Release

_CONTENT_TYPES = {".zip": "application/zip", ".yaml": "application/yaml"}


@dataclass(frozen=True)
class CodeBucket:
    account: AwsAccount
    stack: str

    @property
    def name(self) -> str:
        return f"{self.stack}-code-{self.account.account_id}"

    def exists(self) -> bool:
        with aws_errors(f"looking at the bucket {self.name}"):
            return bucket_is_ours(self.account, self.name)

    def create(self) -> bool:
        """Make it what it must be; False when it was there already."""
        new = not self.exists()
        with aws_errors(f"creating the bucket {self.name}"):
            if new:
                # us-east-1 is the one region that S3 does not want to be told.
                elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": self.account.region}}
                self._s3.create_bucket(
                    Bucket=self.name, **(elsewhere if self.account.region != "us-east-1" else {})
                )
            self._secure()
        return new

    def upload(self, release: Release) -> Iterator[tuple[str, bool]]:
        """Put what is not there yet; yields each file with whether it was sent."""
        sent: set[str] = set()
        for artifact in (*release.code.values(), release.template):
            new = artifact.key not in sent and not self._holds(artifact)
            if new:
                self.put(artifact)
            sent.add(artifact.key)
            yield artifact.path.name, new

    def put(self, artifact: Artifact) -> str | None:
        """Send a file; the version that S3 gave it."""
        with aws_errors(f"uploading {artifact.path.name} to the bucket {self.name}"):
            answer = self._s3.put_object(
                Bucket=self.name,
                Key=artifact.key,
                Body=artifact.path.read_bytes(),
                ContentType=_CONTENT_TYPES[artifact.path.suffix],
                ExpectedBucketOwner=self.account.account_id,
            )
        version: str | None = answer.get("VersionId")
        return version

    def take_out(self, artifact: Artifact, version: str | None) -> None:
        with aws_errors(f"removing {artifact.key} from the bucket {self.name}"):
            self._s3.delete_object(
                Bucket=self.name, Key=artifact.key, **({"VersionId": version} if version else {})
            )

    def url(self, artifact: Artifact) -> str:
        return f"{self._s3.meta.endpoint_url}/{self.name}/{artifact.key}"

    def keys(self, code: Mapping[str, Artifact]) -> dict[str, str]:
        """The parameters that tell the stack where its code is."""
        return {"CodeBucket": self.name, **{name: artifact.key for name, artifact in code.items()}}

    def holds(self, artifact: Artifact) -> bool:
        return self.exists() and self._holds(artifact)

    def remove(self) -> bool:
        """Delete it with all in it; False when it was not there."""
        if not self.exists():
            return False
        with aws_errors(f"deleting the bucket {self.name}"):
            empty(self._s3, self.name)
            self._s3.delete_bucket(Bucket=self.name)
        return True

    def _holds(self, artifact: Artifact) -> bool:
        with aws_errors(f"looking for {artifact.key} in the bucket {self.name}"):
            return get_or_none(self._s3.head_object, "404", Bucket=self.name, Key=artifact.key) is not None

    def _secure(self) -> None:
        here = {"Bucket": self.name, "ExpectedBucketOwner": self.account.account_id}
        self._s3.put_public_access_block(
            **here,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )
        self._s3.put_bucket_versioning(**here, VersioningConfiguration={"Status": "Enabled"})
        # As everything of the stack, so that Cost Explorer finds it.
        tag = {
            "Key": "sesmailengine:stack",
            "Value": self.name.removesuffix(f"-code-{self.account.account_id}"),
        }
        self._s3.put_bucket_tagging(**here, Tagging={"TagSet": [tag]})
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        self._s3.put_bucket_encryption(**here, ServerSideEncryptionConfiguration={"Rules": [rule]})
        arn = f"arn:{self.account.partition}:s3:::{self.name}"
        deny = {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        policy = {"Version": "2012-10-17", "Statement": [deny]}
        self._s3.put_bucket_policy(**here, Policy=json.dumps(policy))

    @property
    def _s3(self) -> Any:
        return self.account.client("s3")


def empty(s3: Any, bucket: str) -> None:
    """Delete every version of every object."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        entries = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
        if objects:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            for error in answer.get("Errors", ()):
                raise InstallError(
                    f"S3 does not delete {error['Key']} in {bucket}: {error['Code']}: {error['Message']}.",
                    "Correct that, and run again: what is gone already is skipped.",
                )


def bucket_is_ours(account: AwsAccount, name: str) -> bool:
    """False when there is no such bucket; raises `InstallError` when another account or region has it."""
    try:
        answer = get_or_none(
            account.client("s3").head_bucket, "404", Bucket=name, ExpectedBucketOwner=account.account_id
        )
    except ClientError as error:
        if error_code(error) not in {"403", "AccessDenied"}:
            raise
        raise InstallError(
            f"The bucket {name} belongs to another account, or these credentials may not see it.",
            "Choose another --stack-name, or use credentials with the permissions in docs/install.md.",
        ) from error
    if answer is None:
        return False
    region = answer.get("BucketRegion", account.region)
    if region != account.region:
        raise InstallError(
            f"The bucket {name} is in {region}: SESMailEngine is or was installed there under this name.",
            f"Choose another --stack-name, or work in that region with --region {region}.",
        )
    return True
