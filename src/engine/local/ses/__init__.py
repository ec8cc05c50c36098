"""A simulator of Amazon SES v2: accepts or refuses email, and publishes the events that SES would."""

from engine.local.ses.account import Account
from engine.local.ses.faults import FaultPlan, Faults
from engine.local.ses.message import Message, MessageAttachment
from engine.local.ses.outgoing import SimulatedEvent, at_once, lifelike, on_release
from engine.local.ses.server import serve
from engine.local.ses.simulator import Simulator
from engine.local.ses.threaded import ThreadedSimulator
from engine.local.ses.topic import sns_topic

__all__ = [
    "Account",
    "FaultPlan",
    "Faults",
    "Message",
    "MessageAttachment",
    "SimulatedEvent",
    "Simulator",
    "ThreadedSimulator",
    "at_once",
    "lifelike",
    "on_release",
    "serve",
    "sns_topic",
]
