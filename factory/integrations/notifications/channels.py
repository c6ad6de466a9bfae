"""Channels by name, as the operator's file describes them.

Whoever asks for a notification names a channel and never an address: nobody can have the factory call what they like.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import aiosmtplib
import httpx
import structlog
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from standardwebhooks import Webhook

from factory.domain.errors import BadInputError, ErrorCategory, NotFoundError, RetryableError, TerminalError
from factory.integrations.notifications.message import Message

LOG = "log"
_PATIENCE_SECONDS = 10.0
_log = structlog.stdlib.get_logger(__name__)
# Another attempt may succeed (RFC 9110, section 15): everything else the receiver has decided.
_PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
_Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WebhookChannel(_Strict):
    """A POST of JSON, signed as Standard Webhooks describes it.

    Attributes:
        url_variable: The environment variable that holds the address.
        secret_variable: The one that holds the secret for the signature (`whsec_…`).
    """

    kind: Literal["webhook"]
    url_variable: _Variable
    secret_variable: _Variable


class SlackChannel(_Strict):
    """An incoming webhook of Slack; its address is a secret, so it stands in an environment variable."""

    kind: Literal["slack"]
    url_variable: _Variable


class EmailChannel(_Strict):
    """E-mail.

    Attributes:
        server_variable: The environment variable that holds the server:
            `smtp://user:password@host:587` (with STARTTLS where the server offers it) or `smtps://…:465`.
    """

    kind: Literal["email"]
    server_variable: _Variable
    sender: Annotated[str, Field(pattern=r"^[^\s@]+@[^\s@]+$")]
    to: Annotated[tuple[Annotated[str, Field(pattern=r"^[^\s@]+@[^\s@]+$")], ...], Field(min_length=1)]


class LogChannel(_Strict):
    """A line in the factory's log."""

    kind: Literal["log"]


Channel = Annotated[WebhookChannel | SlackChannel | EmailChannel | LogChannel, Field(discriminator="kind")]
_FILE: TypeAdapter[dict[str, Channel]] = TypeAdapter(
    dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")], Channel]
)


class Channels:
    """The channels of a factory; `log` is always there.

    Args:
        channels: By name.
    """

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self._channels = {LOG: LogChannel(kind="log"), **channels}

    @classmethod
    def load(cls, path: Path | None) -> "Channels":
        """Read a file with the key `channels`.

        Raises:
            BadInputError: It cannot be read, or a channel cannot be used; the message names the field.
        """
        if path is None:
            return cls({})
        try:
            content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
            return cls(_FILE.validate_python(content["channels"]))
        except ValidationError as error:
            first = error.errors()[0]
            why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
            why = repr(error)
        raise BadInputError(
            f"the channels in {path} cannot be used: {why}.",
            remedy="docs/notifications.md describes the file.",
            field="FACTORY_NOTIFICATION_CHANNELS",
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._channels))

    def require(self, name: str) -> None:
        """Make sure that there is a channel.

        Raises:
            NotFoundError: There is none of this name.
        """
        if name not in self._channels:
            raise NotFoundError(
                f"there is no channel {name!r}.", remedy=f"Channels: {', '.join(self.names)}.", field="channel"
            )

    async def send(self, name: str, message: Message) -> None:
        """Send a message; sent again, it carries the same id.

        Raises:
            RetryableError: The receiver does not answer, or asks to come back later.
            TerminalError: The receiver refuses it, or the channel is not set up.
        """
        channel = self._channels.get(name)
        if channel is None:
            raise TerminalError(
                f"there is no channel {name!r}.",
                category=ErrorCategory.DEPENDENCY,
                remedy="Add it to FACTORY_NOTIFICATION_CHANNELS, and redrive this.",
            )
        match channel:
            case WebhookChannel():
                await _webhook(channel, message)
            case SlackChannel():
                await _post(name, _secret(channel.url_variable), _slack_body(message), {})
            case EmailChannel():
                await _email(name, channel, message)
            case LogChannel():
                _log.warning("notification", **message.model_dump(mode="json"))


async def _webhook(channel: WebhookChannel, message: Message) -> None:
    body = message.model_dump_json()
    now = datetime.now(UTC)
    signature = Webhook(_secret(channel.secret_variable)).sign(str(message.id), now, body)
    headers = {
        "webhook-id": str(message.id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    await _post("webhook", _secret(channel.url_variable), body, headers)


async def _post(name: str, url: str, body: str, headers: Mapping[str, str]) -> None:
    try:
        # A redirect could lead anywhere, and a receiver has no reason for one.
        async with httpx.AsyncClient(timeout=_PATIENCE_SECONDS, follow_redirects=False) as client:
            sent = {"content-type": "application/json", **headers}
            response = await client.post(url, content=body.encode(), headers=sent)
    except httpx.HTTPError as error:
        raise RetryableError(f"channel {name} does not answer: {type(error).__name__}.") from None
    if response.is_success:
        return
    if response.status_code in _PASSING or response.is_server_error:
        raise RetryableError(f"channel {name} answers {response.status_code}.")
    raise TerminalError(
        f"channel {name} refuses the message with {response.status_code}.",
        category=ErrorCategory.DEPENDENCY,
        remedy="Correct the channel's address, and redrive this.",
    )


async def _email(name: str, channel: EmailChannel, message: Message) -> None:
    server = urlsplit(_secret(channel.server_variable))
    mail = EmailMessage()
    mail["From"], mail["To"] = channel.sender, ", ".join(channel.to)
    # A line break in a subject would begin a header of the sender's choice.
    mail["Subject"] = " ".join(f"[{message.severity}] {message.subject}".split())
    mail["Message-ID"] = f"<{message.id}@{channel.sender.partition('@')[2]}>"
    mail.set_content(message.text)
    try:
        await aiosmtplib.send(
            mail,
            hostname=server.hostname,
            port=server.port,
            username=unquote(server.username) if server.username else None,
            password=unquote(server.password) if server.password else None,
            use_tls=server.scheme == "smtps",
            timeout=_PATIENCE_SECONDS,
        )
    except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPDataError) as error:
        raise TerminalError(
            f"channel {name} refuses the message: {type(error).__name__}.", category=ErrorCategory.DEPENDENCY
        ) from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise RetryableError(f"channel {name} does not answer: {type(error).__name__}.") from None


def _slack_body(message: Message) -> str:
    text = f"*{message.subject}* ({message.severity})\n{message.text}"
    # Slack's own three (docs.slack.dev, "Formatting text for app surfaces").
    for plain, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(plain, escaped)
    return json.dumps({"text": text})


def _secret(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise TerminalError(
            f"the environment variable {variable} is not set.",
            category=ErrorCategory.DEPENDENCY,
            remedy="Set it where the factory runs, and redrive this.",
        )
    return value
