"""The local inbox: the emails sent and refused, their timelines, and buttons that make SES report."""

from engine.local.inbox.inbox import Inbox
from engine.local.inbox.pages import inbox_pages

__all__ = ["Inbox", "inbox_pages"]
