"""What the doctor asks AWS. Every function asks about one thing, and hands the answers to the rules."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final

from botocore.exceptions import ClientError

from engine.aws.error_codes import is_code
from engine.errors import EngineError
from engine.operations.account_checks import Answer, Finding, identities_of, sending_account
from engine.operations.doctor import stack_checks
from engine.operations.queues import DEAD_LETTER_QUEUES, queue_depths
from engine.operations.settings import PROCESSOR, SENDER, configuration
from engine.operations.stack import DeployedStack

TEMPLATES: Final = "templates/"


class StackQuestions:
    """`found`: the stack of DescribeStacks; `environment`: EmailSender's variables, if it is there."""

    def __init__(self, stack: DeployedStack, found: Answer, environment: Answer) -> None:
        self._stack = stack
        self._found = found
        self._environment = environment

    async def status(self) -> list[Finding]:
        return list(stack_checks.stack_status(self._found, version("sesmailengine")))

    async def account(self) -> list[Finding]:
        ses = await self._stack.client("sesv2")
        return list(sending_account(await ses.get_account()))

    async def alarms(self) -> list[Finding]:
        topic = stack_checks.output(self._found, "AlarmTopicArn")
        if topic is None:
            return [Finding("skipped", "The stack names no alarm topic.")]
        sns = await self._stack.client("sns")
        pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        subscriptions = [each async for page in pages for each in page["Subscriptions"]]
        return [stack_checks.alarm_subscriptions(topic, subscriptions)]

    async def dead_letters(self) -> list[Finding]:
        depths = await queue_depths(self._stack, DEAD_LETTER_QUEUES)
        found = {depth.queue: depth.total for depth in depths}
        return list(stack_checks.dead_letters({name: found.get(name) for name in DEAD_LETTER_QUEUES}))

    async def room(self) -> list[Finding]:
        functions = await self._stack.client("lambda")
        reserved = {}
        for name in (SENDER, PROCESSOR):
            answer = await functions.get_function_concurrency(FunctionName=self._stack.resource(name))
            reserved[name] = answer.get("ReservedConcurrentExecutions")
        settings = await functions.get_account_settings()
        return list(stack_checks.room_to_run(settings["AccountLimit"], reserved))

    async def reports(self) -> list[Finding]:
        ses = await self._stack.client("sesv2")
        topic = stack_checks.output(self._found, "FeedbackTopicArn")
        findings: list[Finding] = []
        for name in self._configuration_sets():
            of_set = await ses.get_configuration_set(ConfigurationSetName=name)
            destinations = await self._destinations(name)
            findings += stack_checks.reports_of_ses(name, of_set, destinations, topic)
        return findings

    async def tracking(self) -> list[Finding]:
        """Of the set that transactional mail is sent with."""
        destinations = await self._destinations(self._configuration_sets()[0])
        return list(stack_checks.tracking(destinations, await self._security_mail()))

    def _configuration_sets(self) -> list[str]:
        """The first is that of transactional mail."""
        default = self._stack.resource("ConfigSet")
        named = [self._environment.get("SES_CONFIGURATION_SET", default)]
        return [*named, *filter(None, [self._environment.get("BULK_CONFIGURATION_SET")])]

    async def _destinations(self, configuration_set: str) -> list[Answer]:
        ses = await self._stack.client("sesv2")
        answer = await ses.get_configuration_set_event_destinations(ConfigurationSetName=configuration_set)
        found: list[Answer] = answer["EventDestinations"]
        return found

    async def _security_mail(self) -> dict[str, str]:
        """The HTML of the templates that open or guard an account, by their names."""
        bucket = stack_checks.output(self._found, "TemplateBucket")
        s3 = await self._stack.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=TEMPLATES)
        keys = [each["Key"] async for page in pages for each in page.get("Contents", ())]
        found = {}
        for name, key in _html_files(keys):
            if stack_checks.is_security_mail(name):
                answer = await s3.get_object(Bucket=bucket, Key=key)
                found[name] = (await answer["Body"].read()).decode(errors="replace")
        return found


def _html_files(keys: list[str]) -> Iterator[tuple[str, str]]:
    for key in keys:
        name, _, file = key.removeprefix(TEMPLATES).partition("/")
        if file == "template.html":
            yield name, key


class NoSuchStack(EngineError):  # noqa: N818 - it names what was found
    """There is no stack of that name where it was looked for."""


async def find_stack(stack: DeployedStack) -> Answer:
    """Of DescribeStacks. Raises NoSuchStack."""
    name, cloudformation = stack.address.stack, await stack.client("cloudformation")
    try:
        found: Answer = (await cloudformation.describe_stacks(StackName=name))["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            region = cloudformation.meta.region_name
            raise NoSuchStack(
                f"There is no stack {name!r} in {region}: check --stack, --region and --profile."
            ) from None
        raise
    return found


async def sender_environment(stack: DeployedStack) -> Answer:
    """The variables of EmailSender. Raises ClientError where the function is missing."""
    return (await configuration(stack, SENDER)).variables


async def known_identities(stack: DeployedStack, sender: str) -> dict[str, Answer]:
    """What SES knows of a sender's address, its domain and the domain's parents."""
    ses = await stack.client("sesv2")
    known: dict[str, Any] = {}
    for identity in identities_of(sender):
        try:
            known[identity] = await ses.get_email_identity(EmailIdentity=identity)
        except ClientError as error:
            if not is_code(error, "NotFoundException"):
                raise
    return known
