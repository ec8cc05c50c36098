"""Fingerprints of parameters: a custom resource takes them, because CloudFormation can't hash.

See docs/decisions/0017-parameters.md.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.parameters import Parameters
from infra.settings import parameter_name


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """`values` changes with the value of a parameter, `shape` with which settings are parameters.

    No values: all settings are written down.
    """

    values: str | None
    shape: str


class Fingerprints(Construct):
    def __init__(
        self, scope: Construct, construct_id: str, *, parameters: Parameters, answered_by: lambda_.IFunction
    ) -> None:
        super().__init__(scope, construct_id)
        self._parameters = parameters
        self._answered_by = answered_by

    def of(self, function: str, settings: Sequence[str]) -> Fingerprint:
        """Of settings that are part of the function's configuration, all of them.

        Lambda refuses to publish a version that equals the one before, and so the update would fail.
        """
        open_ones = [name for name in settings if not self._parameters.is_pinned(name)]
        shape = hashlib.sha256(" ".join(sorted(open_ones)).encode()).hexdigest()[:8]
        if not open_ones:
            return Fingerprint(values=None, shape=shape)
        resource = CustomResource(
            self,
            function,
            resource_type="Custom::Fingerprint",
            service_token=self._answered_by.function_arn,
            service_timeout=Duration.minutes(2),
            properties={parameter_name(name): self._parameters.effect(name) for name in open_ones},
        )
        return Fingerprint(values=resource.get_att_string("Fingerprint"), shape=shape)
