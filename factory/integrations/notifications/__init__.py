"""Telling people: webhooks, Slack, e-mail, the log (R46)."""

from factory.integrations.notifications.channels import Channels
from factory.integrations.notifications.message import Message

__all__ = ["Channels", "Message"]
