"""The local inbox: what was sent, what became of it, and buttons that change it."""

from engine.local.inbox.inbox import Inbox
from engine.local.inbox.pages import inbox_pages

__all__ = ["Inbox", "inbox_pages"]
