"""A simulator of Amazon SES: takes mail as SES v2 does, decides its fate, publishes SES's events."""

from engine.local.ses.account import Account
from engine.local.ses.faults import FaultPlan, Faults
from engine.local.ses.message import Attachment, Message
from engine.local.ses.outgoing import SesEvent, at_once, lifelike, on_release
from engine.local.ses.server import serve
from engine.local.ses.simulator import Simulator
from engine.local.ses.threaded import ThreadedSimulator
from engine.local.ses.topic import sns_topic

__all__ = [
    "Account",
    "Attachment",
    "FaultPlan",
    "Faults",
    "Message",
    "SesEvent",
    "Simulator",
    "ThreadedSimulator",
    "at_once",
    "lifelike",
    "on_release",
    "serve",
    "sns_topic",
]
