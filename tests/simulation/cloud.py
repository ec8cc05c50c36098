"""The deployed stack: the resources of `infra/`, and its functions started by the engine's own bootstrap."""

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from tests.simulation.clients import Clients, Telemetry
from tests.simulation.dynamodb import STATE, SUPPRESSION, TRACKING, DynamoDb, Watch
from tests.simulation.events import BUS, EventBridge
from tests.simulation.functions import Function, Process, Work
from tests.simulation.hosted_page import URL, start_page
from tests.simulation.s3 import BUCKET
from tests.simulation.scheduler import Scheduler
from tests.simulation.ses import Acceptance, Ses, SesReport
from tests.simulation.sqs import ACCOUNT, Queue, poll
from tests.simulation.world import BEGIN, TOPICS, World

from engine.bootstrap.email_sender import open_email_sender
from engine.bootstrap.feedback_processor import open_feedback_processor
from engine.bootstrap.host import Host
from engine.feedback.notifications import notifications
from engine.operations.queues import DEAD_LETTER_QUEUES
from infra.settings import StackSettings

STACK: Final = StackSettings(default_sender_email="no-reply@shop.example")
RECONCILE: Final = 300.0  # seconds; the engine's default
TOPIC: Final = "arn:aws:sns:eu-west-1:123456789012:prove-SESFeedback"


class Cloud:
    """`watch_*` and `told` hear of what the invariants need to know."""

    def __init__(
        self,
        world: World,
        *,
        watch_write: Watch,
        watch_message: Callable[[str, str], None],
        told: Callable[[str, dict[str, Any]], None],
        accepted: Callable[[Acceptance], None],
        ended: Callable[[Process, bool], None],
    ) -> None:
        self.world = world
        self.watch_message = watch_message
        self.dynamodb = DynamoDb(world, watch_write)
        self.dead = {name: Queue(world, f"prove-{name}") for name in DEAD_LETTER_QUEUES}
        visibility = 6.0 * STACK.sender_timeout
        self.retry = Queue(world, "prove-EmailRetryQueue", self.dead["EmailRetryDLQ"], visibility)
        self.bulk = Queue(world, "prove-BulkEmailQueue", self.dead["BulkEmailDLQ"], visibility)
        self.parked = Queue(world, "prove-ParkedEmailQueue")
        queues = (self.retry, self.bulk, self.parked, *self.dead.values())
        self.by_url = {f"{ACCOUNT}/{queue.name}": queue for queue in queues}
        self.scheduler = Scheduler(world, self.retry)
        self.ses = Ses(world, publish=self._publish_report, accepted=accepted)
        self.sender = Function(
            world,
            "EmailSender",
            timeout=STACK.sender_timeout,
            memory=STACK.sender_memory,
            concurrency=world.plan.sender_concurrency,
            start=self._start_sender,
            on_failure=self.dead["EventBridgeDLQ"],
            ended=ended,
        )
        self.feedback = Function(
            world,
            "FeedbackProcessor",
            timeout=STACK.feedback_timeout,
            memory=STACK.feedback_memory,
            concurrency=STACK.feedback_concurrency,
            start=self._start_feedback,
            on_failure=self.dead["FeedbackProcessorDLQ"],
            ended=ended,
        )
        self.page = Function(
            world,
            "Unsubscribe",
            timeout=10,
            memory=256,
            concurrency=STACK.unsubscribe_concurrency,
            start=self._start_page,
            ended=lambda *_: None,
        )
        self.bus = EventBridge(
            world,
            direct=self.sender.invoke_later,
            bulk=self.bulk,
            undelivered=self.dead["EventBridgeDLQ"],
            told=told,
        )
        self._variables = _variables(world)
        self._reports: dict[str, tuple[Acceptance, SesReport]] = {}

    def poll(self) -> list[asyncio.Task[None]]:
        """Both triggers; they end when they are cancelled."""
        world, sender = self.world, self.sender.invoke
        bulk = world.spawn(
            poll(
                self.bulk,
                sender,
                batch=STACK.bulk_batch_size,
                concurrency=world.plan.bulk_concurrency,
                window=1,
            )
        )
        retry = world.spawn(poll(self.retry, sender, batch=10, concurrency=STACK.retry_concurrency, window=0))

        return [bulk, retry]

    async def _start_sender(self, process: Process) -> Work:
        clients: Any = Clients(self, process)
        opened = await open_email_sender(self._variables, clients, self._host(process))
        return opened.process

    async def _start_feedback(self, process: Process) -> Work:
        clients: Any = Clients(self, process)
        opened = await open_feedback_processor(self._variables, clients, self._host(process))

        async def work(event: Any, seconds_left: Callable[[], float]) -> None:
            del seconds_left
            await opened.process(event)
            for notification in notifications(event):
                acceptance, report = self._reports[notification.message]
                acceptance.handled.append((self.world.time(), report))
                self.world.log(acceptance.email_id, f"{process.name} has handled its {report.kind}")

        return work

    async def _start_page(self, process: Process) -> Work:
        clients: Any = Clients(self, process)
        return await start_page(self._variables, clients, self._host(process))

    def _host(self, process: Process) -> Host:
        world = self.world
        dice = random.Random(world.dice.random())  # noqa: S311 - dice, and the same ones every time

        def clock() -> datetime:
            return BEGIN + timedelta(seconds=world.time() + process.skew)

        def rate_clock() -> float:
            return BEGIN.timestamp() + world.time() + process.rate_skew

        telemetry: Any = lambda *_: Telemetry(world, process)  # noqa: E731 - any, as it is none of Powertools'
        return Host(
            clock=clock,
            time=rate_clock,
            new_claim_id=lambda: f"{world.number():032x}",
            uniform=dice.uniform,
            pick=dice.randrange,
            telemetry=telemetry,
        )

    def _publish_report(self, acceptance: Acceptance, report: SesReport, body: str) -> None:
        """SNS: to the feedback function, or where that can't be reached into its DLQ."""
        world = self.world
        world.usage["sns notifications"] += 1
        notification = {
            "Type": "Notification",
            "MessageId": f"sns-{world.number()}",
            "TopicArn": TOPIC,
            "Message": body,
        }
        self._reports[body] = acceptance, report
        if world.chance(world.plan.faults.undelivered / 4):
            world.log(acceptance.email_id, f"SNS gives its {report.kind} up")
            self.dead["FeedbackProcessorDLQ"].send(json.dumps(notification))
            return
        self.feedback.invoke_later({"Records": [{"EventSource": "aws:sns", "Sns": notification}]})


def _variables(world: World) -> Mapping[str, str]:
    """As the stack sets them."""
    return {
        "TRACKING_TABLE": TRACKING,
        "SUPPRESSION_TABLE": SUPPRESSION,
        "STATE_TABLE": STATE,
        "TEMPLATE_BUCKET": BUCKET,
        "RETRY_QUEUE_URL": f"{ACCOUNT}/prove-EmailRetryQueue",
        "PARKED_QUEUE_URL": f"{ACCOUNT}/prove-ParkedEmailQueue",
        "EVENT_BUS_NAME": BUS,
        "SES_CONFIGURATION_SET": "prove-ConfigSet",
        "SES_FEEDBACK_TOPIC_ARN": TOPIC,
        "DEFAULT_SENDER_EMAIL": STACK.default_sender_email,
        "BOUNCE_RATE_THRESHOLD": "100",  # the quota is read and counted; what it stops, its own tests say
        "SES_MAX_SEND_RATE": str(world.plan.rate if world.plan.configured else 0),
        "BULK_SHARE": str(STACK.bulk_share),
        "BULK_CALL_SIZE": str(STACK.bulk_call_size),
        "RECONCILE_SECONDS": str(RECONCILE),
        "UNSUBSCRIBE_TOPICS": ",".join(f"{topic}={topic.title()}" for topic in TOPICS),
        # Signing keys are read where there is a page only.
        "UNSUBSCRIBE_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prove-Unsubscribe",
        "UNSUBSCRIBE_URL": URL if world.plan.readers else "",
    }
