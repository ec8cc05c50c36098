"""The stack's template as CloudFormation would deploy it, its parameters and references worked out."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra.bundling import Bundles
from infra.settings import StackSettings
from infra.stack import EmailEngineStack

# Settings written down by context, of each kind one; every test that needs such a template shares it.
PINNED: Final = {
    "adminEmail": "ops@example.com",
    "allowedSenders": "shop.example,news@mail.example",
    "defaultSenderEmail": "no-reply@shop.example",
    "logLevel": "INFO",
    "senderConcurrency": "50",
    "senderMemory": "1024",
    "senderTimeout": "40",
    "sesMaxSendRate": "12.5",
    "snapStart": "true",
    "trackClicks": "true",
    "trackOpens": "false",
    "trackingDomain": "click.shop.example",
}
STACK, REGION, ACCOUNT = "mail", "eu-west-1", "111122223333"
SENDER = "no-reply@example.com"

_NOTHING: Final = object()
_PSEUDO: Final = {
    "AWS::NoValue": _NOTHING,
    "AWS::StackName": STACK,
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}

# What Ref and GetAtt of Arn give for the resources that others refer to, from a resource's properties.
_NAMES: Final[dict[str, str]] = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::IAM::Role": "Description",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SES::ConfigurationSet": "Name",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::SQS::Queue": "QueueName",
}
LETTERS: Final = "a1B2c3"
"""What Secrets Manager appends to a secret's name in its ARN, by chance."""

# Service and resource of an ARN.
_ARNS: Final = {
    "AWS::DynamoDB::Table": ("dynamodb", "table/{}"),
    "AWS::Events::EventBus": ("events", "event-bus/{}"),
    "AWS::IAM::Role": ("iam", "role/{}"),
    "AWS::Lambda::Function": ("lambda", "function:{}"),
    "AWS::Logs::LogGroup": ("logs", "log-group:{}:*"),
    "AWS::S3::Bucket": ("s3", "{}"),
    "AWS::SNS::Topic": ("sns", "{}"),
    "AWS::SecretsManager::Secret": ("secretsmanager", f"secret:{{}}-{LETTERS}"),
    "AWS::SQS::Queue": ("sqs", "{}"),
}
_GLOBAL: Final = {"iam": f"iam::{ACCOUNT}", "s3": "s3::"}


@dataclass(frozen=True)
class Synthesis:
    """What one run of CDK made: the template, and what cdk-nag and CDK's own validation found."""

    template: dict[str, Any]
    findings: tuple[str, ...]


@cache
def synthesis(**context: str) -> Synthesis:
    """Once for each context in a process: a synthesis takes seconds."""
    with tempfile.TemporaryDirectory() as folder:
        bundles = Path(folder)
        for name in ("engine.zip", "seeder.zip"):
            (bundles / name).write_bytes(name.encode())
        cdk = json.loads((Path(__file__).parents[2] / "cdk.json").read_text())["context"]
        app = App(context=cdk, outdir=f"{folder}/assembly")
        stack = EmailEngineStack(
            app,
            "SESMailEngine",
            settings=StackSettings.from_context(context),
            bundles=Bundles(
                engine=bundles / "engine.zip", seeder=bundles / "seeder.zip", templates_digest="templates-1"
            ),
        )
        Validations.of(app).add_plugins(AwsSolutionsChecks(app))
        try:
            app.synth()
        except RuntimeError as error:  # how jsii says that the report below holds a failure
            if "Validation failed" not in str(error):
                raise
        assembly = Path(app.outdir)
        template = json.loads((assembly / f"{stack.artifact_id}.template.json").read_text())
        report = json.loads((assembly / "validation-report.json").read_text())
    return Synthesis(template, tuple(_findings(report)))


def _findings(report: dict[str, Any]) -> Iterator[str]:
    for plugin in report["pluginReports"]:
        for violation in plugin["violations"]:
            yield f"{plugin.get('pluginName', 'CDK')}: {violation['ruleName']}: {violation['description']}"


@dataclass
class Deployed:
    """A template with its parameters. Every answer is as AWS would get it, with names and ARNs filled in.

    `place`: pseudo parameters that differ from the usual, such as AWS::Region.
    """

    template: dict[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    place: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._resources: dict[str, Any] = self.template["Resources"]
        self._pseudo: dict[str, Any] = _PSEUDO | dict(self.place)

    def parameter(self, name: str) -> Any:
        if name in self.given:
            return self.given[name]
        return self.template["Parameters"][name]["Default"]

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """The resources of a kind that exist under these parameters, by logical id, worked out."""
        return {
            name: self._value(resource)
            for name, resource in self._resources.items()
            if resource["Type"] == kind and self._exists(resource)
        }

    def find(self, kind: str, **properties: Any) -> dict[str, Any]:
        """The one resource of `kind` that has `properties`, whole."""
        fitting = [
            resource
            for resource in self.all(kind).values()
            if properties.items() <= resource.get("Properties", {}).items()
        ]
        assert len(fitting) == 1, f"{len(fitting)} of {kind} have {properties}"
        return fitting[0]

    def properties(self, kind: str, **properties: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.find(kind, **properties)["Properties"]
        return found

    def outputs(self) -> dict[str, Any]:
        return {name: self._value(output["Value"]) for name, output in self.template["Outputs"].items()}

    def statements(self, handler: str) -> list[dict[str, Any]]:
        """What the role of the function with this handler may do."""
        role = self.properties("AWS::IAM::Role", Description=f"What {handler} may do")
        (policy,) = role["Policies"]
        statements: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
        return statements

    def _exists(self, resource: Mapping[str, Any]) -> bool:
        return "Condition" not in resource or self._holds(resource["Condition"])

    def _holds(self, condition: str) -> bool:
        return bool(self._value(self.template["Conditions"][condition]))

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self._value, value) if item is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](self, argument)
        worked_out = {name: self._value(item) for name, item in value.items()}
        return {name: item for name, item in worked_out.items() if item is not _NOTHING}

    def _ref(self, name: str) -> Any:
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self.template.get("Parameters", {}):
            return self.parameter(name)
        resource = self._resources[name]
        match resource["Type"]:
            case "AWS::SQS::Queue":
                region = self._pseudo["AWS::Region"]
                return f"https://sqs.{region}.amazonaws.com/{ACCOUNT}/{self._name(resource)}"
            case "AWS::Lambda::Alias":
                alias = self._value(resource["Properties"])
                return self._arn("AWS::Lambda::Function", f"{alias['FunctionName']}:{alias['Name']}")
            case "AWS::SNS::Topic" | "AWS::SecretsManager::Secret" as kind:
                return self._arn(kind, self._name(resource))
            case kind:
                return self._name(resource) if kind in _NAMES else name

    def _attribute(self, argument: list[str]) -> Any:
        name, attribute = argument
        resource = self._resources[name]
        if attribute == "Arn" and resource["Type"] == "AWS::IAM::Role":  # CloudFormation names it
            return self._arn("AWS::IAM::Role", f"{self._pseudo['AWS::StackName']}-{name}")
        if attribute == "Arn" and resource["Type"] in _ARNS:
            return self._arn(resource["Type"], self._name(resource))
        if attribute == "QueueName":
            return self._name(resource)
        return f"{name}.{attribute}"

    def _arn(self, kind: str, name: str) -> str:
        service, resource = _ARNS[kind]
        regional = f"{service}:{self._pseudo['AWS::Region']}:{ACCOUNT}"
        return (
            f"arn:{self._pseudo['AWS::Partition']}:{_GLOBAL.get(service, regional)}:{resource.format(name)}"
        )

    def _name(self, resource: Mapping[str, Any]) -> str:
        return str(self._value(resource["Properties"][_NAMES[resource["Type"]]]))

    def _if(self, argument: list[Any]) -> Any:
        condition, yes, no = argument
        return self._value(yes if self._holds(condition) else no)

    def _find_in_map(self, argument: list[Any]) -> Any:
        mapping, first, second = map(self._value, argument)
        return self.template["Mappings"][mapping][str(first)][str(second)]

    def _join(self, argument: list[Any]) -> str:
        separator, parts = argument
        return str(separator).join(map(str, self._value(parts)))

    def _equals(self, argument: list[Any]) -> bool:
        one, other = map(self._value, argument)
        return str(one) == str(other)


_FUNCTIONS: Final[dict[str, Callable[[Deployed, Any], Any]]] = {
    "Ref": Deployed._ref,
    "Fn::GetAtt": Deployed._attribute,
    "Fn::If": Deployed._if,
    "Fn::FindInMap": Deployed._find_in_map,
    "Fn::Join": Deployed._join,
    "Fn::Equals": Deployed._equals,
    "Fn::Not": lambda self, argument: not self._value(argument[0]),
    "Fn::And": lambda self, argument: all(map(self._value, argument)),
    "Fn::Or": lambda self, argument: any(map(self._value, argument)),
    "Fn::Split": lambda self, argument: str(self._value(argument[1])).split(argument[0]),
    "Fn::Select": lambda self, argument: self._value(argument[1])[int(argument[0])],
}


def deployed(*, place: Mapping[str, str] | None = None, **given: Any) -> Deployed:
    """The template as it comes, with the parameters that somebody gives; only the sender has no default."""
    return Deployed(synthesis().template, {"DefaultSenderEmail": SENDER} | given, place or {})
