"""The settings as the template knows them: what context gave as it is, the rest as parameters.

So one template serves everybody: `cdk deploy -c senderMemory=1024` writes the value down, and whoever deploys
the template without CDK, or wants to change a value later, gives the parameter. A parameter's default never
comes from context: `cdk deploy` keeps a parameter's previous value, and would pass over a changed default in
silence. See docs/decisions/parameters.md.
"""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws, CfnCondition, CfnMapping, CfnParameter, Fn, Stack, Token
from constructs import Construct

from engine.sending.sender import SenderPolicy
from infra.settings import TIMEOUTS, StackSettings, parameter_name
from infra.spec import Spec

# AWS's rule for a queue that triggers a function: six times the function's time-out, so that Lambda's own
# retries of a throttled batch fit in.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_TIMEOUTS_WAITED = 6


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
        self._describe()

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

    def reserved(self, name: str) -> float | None:
        """A concurrency to reserve, or None, or the template's choice between the two: 0 reserves nothing."""
        if self.is_pinned(name):
            return self.number(name) or None
        reserves = self._condition(f"Reserves{parameter_name(name)}", Fn.condition_equals(self.text(name), 0))
        return Token.as_number(Fn.condition_if(reserves.logical_id, self.number(name), Aws.NO_VALUE))

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

    def is_set(self, name: str) -> CfnCondition:
        """The template's condition that a text is not empty."""
        return self._condition(f"Has{parameter_name(name)}", Fn.condition_equals(self.text(name), ""))

    def is_true(self, name: str) -> CfnCondition:
        return self._condition(f"Does{parameter_name(name)}", Fn.condition_equals(self.text(name), "false"))

    def sender_domains(self) -> list[str]:
        """Every From address of an allowed domain, as patterns of IAM's StringLike."""
        if (policy := self._known_senders()) is not None:
            return [f"*@{entry}" for entry in policy.allowed if "@" not in entry]
        return self._senders(
            Fn.split(",", Fn.join("", ["*@", Fn.join(",*@", self._listed_senders())])),
            ["*@" + Fn.select(1, Fn.split("@", self.text("default_sender_email")))],
        )

    def sender_addresses(self) -> list[str]:
        """Allowed addresses that stand for themselves, for IAM's StringEqualsIgnoreCase.

        Beside them stand the domains, which no address equals: a template can't tell one from the other.
        """
        if (policy := self._known_senders()) is not None:
            return [entry for entry in policy.allowed if "@" in entry]
        return self._senders(self._listed_senders(), [self.text("default_sender_email")])

    def _known_senders(self) -> SenderPolicy | None:
        if not (self.is_pinned("default_sender_email") and self.is_pinned("allowed_senders")):
            return None
        listed = tuple(self.text("allowed_senders").split(","))
        return SenderPolicy.of(self.text("default_sender_email"), "", listed)

    def _listed_senders(self) -> list[str]:
        return Fn.split(",", self.text("allowed_senders"))

    def _senders(self, listed: Sequence[str], default: Sequence[str]) -> list[str]:
        chosen = Fn.condition_if(self.is_set("allowed_senders").logical_id, listed, default)
        return Token.as_list(chosen)

    def _condition(self, name: str, is_not: Any) -> CfnCondition:
        """One condition a name, however often it is asked for."""
        there = self.node.try_find_child(name)
        if isinstance(there, CfnCondition):
            return there
        condition = CfnCondition(self, name, expression=Fn.condition_not(is_not))
        condition.override_logical_id(name)
        return condition

    def _parameter(self, name: str, spec: Spec) -> CfnParameter:
        default = getattr(self._settings, name)
        choices = spec.choices or spec.parameter_choices
        is_text = spec.kind is str
        parameter = CfnParameter(
            self,
            parameter_name(name),
            type="String" if is_text else "Number",
            description=spec.description,
            constraint_description=f"it must be {spec.expected}",
            default=_default(default, spec),
            # As text in a list of texts: cfn-lint tells 30 from "30", CloudFormation does not.
            allowed_values=[str(one) for one in choices] or None,
            allowed_pattern=f"^{spec.pattern}$" if spec.pattern else None,
            max_length=spec.longest,
            min_value=None if choices else spec.least,
            max_value=None if choices else spec.most,
        )
        parameter.override_logical_id(parameter_name(name))
        return parameter

    def _describe(self) -> None:
        """What CloudFormation's console shows: the parameters under headings, in order."""
        groups: dict[str, list[str]] = {}
        for name, spec in StackSettings.specs().items():
            if not self.is_pinned(name):
                groups.setdefault(spec.group, []).append(parameter_name(name))
        if groups:
            Stack.of(self).add_metadata(
                "AWS::CloudFormation::Interface",
                {
                    "ParameterGroups": [
                        {"Label": {"default": label}, "Parameters": names} for label, names in groups.items()
                    ]
                },
            )


def _default(value: str | float, spec: Spec) -> str | float | None:
    """None asks for a value."""
    if spec.required and not value:
        return None
    return str(value) if spec.choices or spec.parameter_choices else value
