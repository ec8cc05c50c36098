"""CloudFormation parameters: settings that context gave are written down, the rest are parameters.

So one template serves everybody: `cdk deploy -c senderMemory=1024` writes the value down, and whoever deploys
the template without CDK, or wants to change a value later, gives the parameter. A parameter's default never
comes from context: `cdk deploy` keeps a parameter's previous value, and would pass over a changed default in
silence. See docs/decisions/0017-parameters.md.
"""

from collections.abc import Sequence
from typing import Any, Final

from aws_cdk import (
    Aws,
    CfnCondition,
    CfnMapping,
    CfnParameter,
    CfnResource,
    Fn,
    ICfnConditionExpression,
    Stack,
    Token,
)
from constructs import Construct, IConstruct

from engine.sending.sender import SenderPolicy
from infra.regions import LACKING
from infra.settings import TIMEOUTS, StackSettings, parameter_name
from infra.spec import SWITCH, Spec

# AWS's rule for a queue that triggers a function: six times the function's time-out, so that Lambda's own
# retries of a throttled batch fit in.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_TIMEOUTS_WAITED: Final = 6
_ON, _OFF = SWITCH


class Parameters(Construct):
    """Each setting by its field name in `StackSettings`: text for an environment, a number for a property."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: StackSettings) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._parameters = {
            name: self._parameter(name, spec)
            for name, spec in StackSettings.specs().items()
            if name not in settings.pinned
        }
        # What CloudFormation's console shows: the parameters under headings, in order.
        groups: dict[str, list[str]] = {}
        for name, spec in StackSettings.specs().items():
            if not self.is_pinned(name):
                groups.setdefault(spec.group, []).append(parameter_name(name))
        if groups:
            shown = [{"Label": {"default": label}, "Parameters": names} for label, names in groups.items()]
            Stack.of(self).add_metadata("AWS::CloudFormation::Interface", {"ParameterGroups": shown})

    def is_pinned(self, name: str) -> bool:
        """Whether the value is written down, and so a change of it is a change of the template."""
        return name not in self._parameters

    def text(self, name: str) -> str:
        if (parameter := self._parameters.get(name)) is not None:
            return parameter.value_as_string
        value = getattr(self._settings, name)
        return f"{value:.15g}" if isinstance(value, float) else str(value)

    def number(self, name: str) -> float:
        if (parameter := self._parameters.get(name)) is not None:
            return parameter.value_as_number
        value: float = getattr(self._settings, name)
        return value

    def effect(self, name: str) -> str:
        """As `text`, but a switch is off where the region lacks what it switches on."""
        return Token.as_string(self.choose(name, _ON, _OFF)) if name in LACKING else self.text(name)

    def wanted(self, name: str) -> bool | CfnCondition:
        """Whether a switch is on and the region has what it is for, or a text or number is not empty or 0.

        A condition of the template where that is only known when it is deployed.
        """
        there = self.node.try_find_child(f"Wants{parameter_name(name)}")
        if isinstance(there, CfnCondition):
            return there
        demands: list[ICfnConditionExpression] = []
        if self.is_pinned(name):
            if getattr(self._settings, name) in {_OFF, "", 0}:
                return False
        else:
            spec = StackSettings.specs()[name]
            nothing = _OFF if spec.choices == SWITCH else "" if spec.kind is str else 0
            demands.append(Fn.condition_not(Fn.condition_equals(self.text(name), nothing)))
        if name in LACKING:
            here = [Fn.condition_equals(Aws.REGION, region) for region in LACKING[name]]
            demands.append(Fn.condition_not(Fn.condition_or(*here)))
        if not demands:
            return True
        expression = Fn.condition_and(*demands) if len(demands) > 1 else demands[0]
        condition = CfnCondition(self, f"Wants{parameter_name(name)}", expression=expression)
        condition.override_logical_id(f"Wants{parameter_name(name)}")
        return condition

    def choose(self, name: str, yes: Any, no: Any = Aws.NO_VALUE) -> Any:
        """`yes` where `wanted`, else `no`."""
        wanted = self.wanted(name)
        if isinstance(wanted, CfnCondition):
            return Fn.condition_if(wanted.logical_id, yes, no)
        return yes if wanted else no

    def make_only_if(self, name: str, *constructs: IConstruct) -> None:
        """Let the template leave all resources of them out where `name` turns out not to be wanted."""
        wanted = self.wanted(name)
        if isinstance(wanted, CfnCondition):
            for resource in (one for construct in constructs for one in construct.node.find_all()):
                if isinstance(resource, CfnResource):
                    resource.cfn_options.condition = wanted

    def reserved(self, name: str) -> float | None:
        """A concurrency to reserve, or None, or the template's choice between the two: 0 reserves nothing."""
        if self.is_pinned(name):
            return self.number(name) or None
        return Token.as_number(self.choose(name, self.number(name)))

    def visibility(self) -> float:
        """Seconds that a message of the sender's queues stays hidden while it is worked on."""
        if self.is_pinned("sender_timeout"):
            return _TIMEOUTS_WAITED * self.number("sender_timeout")
        waits = CfnMapping(
            self,
            "Visibility",
            mapping={str(timeout): {"Seconds": _TIMEOUTS_WAITED * timeout} for timeout in TIMEOUTS},
        )
        waits.override_logical_id("QueueVisibility")
        return Token.as_number(waits.find_in_map(self.text("sender_timeout"), "Seconds"))

    def sender_domains(self) -> list[str]:
        """Every From address of an allowed domain, as patterns of IAM's StringLike."""
        if (policy := self._pinned_senders()) is not None:
            return [f"*@{entry}" for entry in policy.allowed if "@" not in entry]
        return self._senders(
            Fn.split(",", Fn.join("", ["*@", Fn.join(",*@", self._listed_senders())])),
            ["*@" + Fn.select(1, Fn.split("@", self.text("default_sender_email")))],
        )

    def sender_addresses(self) -> list[str]:
        """Allowed addresses that stand for themselves, for IAM's StringEqualsIgnoreCase.

        Beside them stand the domains, which no address equals: a template can't tell one from the other.
        """
        if (policy := self._pinned_senders()) is not None:
            return [entry for entry in policy.allowed if "@" in entry]
        return self._senders(self._listed_senders(), [self.text("default_sender_email")])

    def _pinned_senders(self) -> SenderPolicy | None:
        if not (self.is_pinned("default_sender_email") and self.is_pinned("allowed_senders")):
            return None
        listed = tuple(self.text("allowed_senders").split(","))
        return SenderPolicy.of(self.text("default_sender_email"), "", listed)

    def _listed_senders(self) -> list[str]:
        return Fn.split(",", self.text("allowed_senders"))

    def _senders(self, listed: Sequence[str], default: Sequence[str]) -> list[str]:
        chosen = self.choose("allowed_senders", listed, default)
        return Token.as_list(chosen) if Token.is_unresolved(chosen) else list(chosen)

    def _parameter(self, name: str, spec: Spec) -> CfnParameter:
        default = getattr(self._settings, name)
        choices = spec.choices or spec.parameter_choices
        if spec.required and not default:
            default = None  # asks for a value
        elif choices:
            default = str(default)
        parameter = CfnParameter(
            self,
            parameter_name(name),
            type="String" if spec.kind is str else "Number",
            description=spec.description,
            constraint_description=f"it must be {spec.expected}",
            default=default,
            # As text in a list of texts: cfn-lint tells 30 from "30", CloudFormation does not.
            allowed_values=[str(one) for one in choices] or None,
            allowed_pattern=f"^{spec.pattern}$" if spec.pattern else None,
            max_length=spec.longest,
            min_value=None if choices else spec.least,
            max_value=None if choices else spec.most,
        )
        parameter.override_logical_id(parameter_name(name))
        return parameter
