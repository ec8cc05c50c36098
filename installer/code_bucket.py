"""The bucket that CloudFormation takes template and code from. It holds nobody's data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from installer.cloud import Cloud, found
from installer.problem import Problem, code_of, doing
from installer.release import Artifact, Release

_CONTENT_TYPES = {".zip": "application/zip", ".yaml": "application/yaml"}


@dataclass(frozen=True)
class CodeBucket:
    cloud: Cloud
    name: str

    @classmethod
    def of(cls, cloud: Cloud, stack: str) -> CodeBucket:
        return cls(cloud, f"{stack}-code-{cloud.account}")

    def exists(self) -> bool:
        with doing(f"looking at the bucket {self.name}"):
            return bucket_is_ours(self.cloud, self.name)

    def create(self) -> bool:
        """Make it what it must be; False when it was there already."""
        new = not self.exists()
        with doing(f"creating the bucket {self.name}"):
            if new:
                # us-east-1 is the one region that S3 does not want to be told.
                elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": self.cloud.region}}
                self._s3.create_bucket(
                    Bucket=self.name, **(elsewhere if self.cloud.region != "us-east-1" else {})
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
        with doing(f"uploading {artifact.path.name} to the bucket {self.name}"):
            answer = self._s3.put_object(
                Bucket=self.name,
                Key=artifact.key,
                Body=artifact.path.read_bytes(),
                ContentType=_CONTENT_TYPES[artifact.path.suffix],
                ExpectedBucketOwner=self.cloud.account,
            )
        version: str | None = answer.get("VersionId")
        return version

    def take_out(self, artifact: Artifact, version: str | None) -> None:
        with doing(f"removing {artifact.key} from the bucket {self.name}"):
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
        with doing(f"deleting the bucket {self.name}"):
            empty(self._s3, self.name)
            self._s3.delete_bucket(Bucket=self.name)
        return True

    def _holds(self, artifact: Artifact) -> bool:
        with doing(f"looking for {artifact.key} in the bucket {self.name}"):
            return found(self._s3.head_object, "404", Bucket=self.name, Key=artifact.key) is not None

    def _secure(self) -> None:
        here = {"Bucket": self.name, "ExpectedBucketOwner": self.cloud.account}
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
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        self._s3.put_bucket_encryption(**here, ServerSideEncryptionConfiguration={"Rules": [rule]})
        arn = f"arn:{self.cloud.partition}:s3:::{self.name}"
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
        return self.cloud.client("s3")


def empty(s3: Any, bucket: str) -> None:
    """Delete every version of every object."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        entries = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
        if objects:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            for error in answer.get("Errors", ()):
                raise Problem(
                    f"S3 does not delete {error['Key']} in {bucket}: {error['Code']}: {error['Message']}.",
                    "Correct that, and run again: what is gone already is skipped.",
                )


def bucket_is_ours(cloud: Cloud, name: str) -> bool:
    """False when there is no such bucket; raises `Problem` when another account or region has it."""
    try:
        answer = found(cloud.client("s3").head_bucket, "404", Bucket=name, ExpectedBucketOwner=cloud.account)
    except ClientError as error:
        if code_of(error) not in {"403", "AccessDenied"}:
            raise
        raise Problem(
            f"The bucket {name} belongs to another account, or these credentials may not see it.",
            "Choose another --stack-name, or use credentials with the permissions in docs/install.md.",
        ) from error
    if answer is None:
        return False
    region = answer.get("BucketRegion", cloud.region)
    if region != cloud.region:
        raise Problem(
            f"The bucket {name} is in {region}: SESMailEngine is or was installed there under this name.",
            f"Choose another --stack-name, or work in that region with --region {region}.",
        )
    return True
