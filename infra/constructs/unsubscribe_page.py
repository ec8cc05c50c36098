"""The hosted unsubscribe page, where the parameter asks for it: a function URL with a role of its own."""

import json

from aws_cdk import ArnFormat, Stack, Token
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.constructs.bus import EmailBus
from infra.constructs.fingerprints import Fingerprints
from infra.constructs.functions import EngineFunction
from infra.constructs.parameters import Parameters
from infra.constructs.tables import EmailTables

_MEMORY, _TIMEOUT = 256, 10
_CONFIGURATION = ("unsubscribe_topics", "environment", "log_level")


class UnsubscribePage(Construct):
    """`address` is the page's URL, `secret_arn` what signs its links; both are nothing where not wanted."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        parameters: Parameters,
        fingerprints: Fingerprints,
        code: lambda_.Code,
        bus: EmailBus,
        tables: EmailTables,
    ) -> None:
        super().__init__(scope, construct_id)
        secret = _signing_keys(self, prefix)
        self.function = EngineFunction(
            self,
            "Function",
            name=f"{prefix}-Unsubscribe",
            parameters=parameters,
            handler="engine.handlers.unsubscribe.handler",
            code=code,
            memory=_MEMORY,
            timeout=_TIMEOUT,
            concurrency=parameters.reserved("unsubscribe_concurrency"),
            fingerprint=fingerprints.of("Unsubscribe", [*_CONFIGURATION, "snap_start"]),
            snap_start=True,
            environment={
                "SUPPRESSION_TABLE": tables.suppression.table_name,
                "EVENT_BUS_NAME": bus.bus.event_bus_name,
                "UNSUBSCRIBE_SECRET_ARN": secret.ref,
                **{name.upper(): parameters.text(name) for name in _CONFIGURATION},
            },
            may=[
                # An opt-out may lie under a bare address as well, where a person put it; that a row is one of
                # consent, the writes' own conditions see to. New ones have keys `topic#address`.
                iam.PolicyStatement(
                    sid="EndConsent",
                    actions=["dynamodb:PutItem"],
                    resources=[tables.suppression.table_arn],
                    conditions={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*#*"]}},
                ),
                iam.PolicyStatement(
                    sid="ReadAndRenewConsent",
                    actions=["dynamodb:DeleteItem", "dynamodb:GetItem"],
                    resources=[tables.suppression.table_arn],
                ),
                read_signing_keys(scope, prefix),
                iam.PolicyStatement(sid="PublishChange", actions=["events:PutEvents"], resources=[bus.arn]),
            ],
        )
        # Whoever holds a link may use it: the page authorizes by the link's signature.
        url = self.function.alias.add_function_url(auth_type=lambda_.FunctionUrlAuthType.NONE)

        def chosen(value: str) -> str:
            return Token.as_string(parameters.choose("hosted_unsubscribe", value))

        self.address = chosen(url.url)
        self.secret_arn = chosen(secret.ref)
        self.role_arn = chosen(self.function.role.role_arn)
        parameters.make_only_if("hosted_unsubscribe", self)


def read_signing_keys(scope: Construct, prefix: str) -> iam.PolicyStatement:
    """May sign and check links. Names the secret, which may not be there; its ARN ends in six letters more.

    It belongs into the role itself: a policy beside it may come too late for the version whose init reads
    the secret.
    """
    arn = Stack.of(scope).format_arn(
        service="secretsmanager",
        resource="secret",
        resource_name=f"{prefix}-Unsubscribe-??????",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    return iam.PolicyStatement(
        sid="ReadSigningKeys", actions=["secretsmanager:GetSecretValue"], resources=[arn]
    )


def _signing_keys(scope: Construct, prefix: str) -> secretsmanager.CfnSecret:
    """`current` signs. To change it, move it to `previous` first (docs/consent.md)."""
    secret = secretsmanager.CfnSecret(
        scope,
        "SigningKeys",
        name=f"{prefix}-Unsubscribe",
        description="What unsubscribe links are signed with: current signs, previous is still believed",
        generate_secret_string=secretsmanager.CfnSecret.GenerateSecretStringProperty(
            secret_string_template=json.dumps({"previous": ""}),
            generate_string_key="current",
            password_length=48,
            exclude_punctuation=True,
        ),
    )
    acknowledge(
        secret,
        "AwsSolutions-SMG4",
        "rotating by a timer would break links that people got; an operator rotates it with both keys",
    )
    return secret
