"""Channels, against real receivers: an HTTP server and an SMTP server."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from aiosmtpd.controller import Controller
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from factory.domain.errors import BadInputError, NotFoundError, RetryableError, TerminalError
from factory.domain.ids import new_id
from factory.domain.recovery import Severity
from factory.integrations.notifications import Channels, Message

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of a test
CHANNELS = """
channels:
  ops: {kind: webhook, url_variable: TEST_HOOK, secret_variable: TEST_SECRET}
  chat: {kind: slack, url_variable: TEST_HOOK}
  mail: {kind: email, server_variable: TEST_SMTP, sender: factory@example.com, to: [ops@example.com]}
"""


@dataclass
class Receiver:
    """What a receiver was sent, and how it answers."""

    url: str = ""
    status: int = 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def hook(self, request: Request) -> Response:
        self.got.append((dict(request.headers), await request.body()))
        if self.status == 302:
            return RedirectResponse(f"{self.url}/other", 302)
        return Response(status_code=self.status)


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    found = Receiver()
    app = Starlette(routes=[Route("/{any:path}", found.hook, methods=["POST", "GET"])])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        found.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        monkeypatch.setenv("TEST_HOOK", f"{found.url}/hook")
        monkeypatch.setenv("TEST_SECRET", SECRET)
        yield found
        server.should_exit = True
        await task


@pytest.fixture
def channels(tmp_path: Path) -> Channels:
    path = tmp_path / "channels.yaml"
    path.write_text(CHANNELS)
    return Channels.load(path)


def message(subject: str = "Disk full", text: str = "Make room.") -> Message:
    return Message(id=new_id(), subject=subject, text=text, severity=Severity.ERROR)


async def test_a_webhook_is_signed_so_that_its_receiver_can_tell(channels: Channels, receiver: Receiver) -> None:
    sent = message()
    await channels.send("ops", sent)
    await channels.send("ops", sent)
    for headers, body in receiver.got:
        verified: Any = Webhook(SECRET).verify(body, headers)
        assert verified["subject"] == "Disk full"
        assert headers["webhook-id"] == str(sent.id)
    with pytest.raises(Exception, match="signature"):
        Webhook(SECRET).verify(receiver.got[0][1] + b" ", receiver.got[0][0])


async def test_slack_is_told_in_its_own_escapes(channels: Channels, receiver: Receiver) -> None:
    await channels.send("chat", message("<!channel> & co"))
    assert json.loads(receiver.got[0][1])["text"].startswith("*&lt;!channel&gt; &amp; co*")


@pytest.mark.parametrize("status", [429, 500, 503, 408])
async def test_what_may_pass_is_tried_again(channels: Channels, receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(RetryableError):
        await channels.send("ops", message())


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
async def test_what_the_receiver_refuses_is_given_up_and_no_redirect_is_followed(
    channels: Channels, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    with pytest.raises(TerminalError):
        await channels.send("ops", message())
    assert len(receiver.got) == 1


async def test_a_receiver_that_is_away_is_tried_again(channels: Channels, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("TEST_HOOK", f"http://user:canary@127.0.0.1:{port}/x")
    monkeypatch.setenv("TEST_SECRET", SECRET)
    with pytest.raises(RetryableError) as refused:
        await channels.send("ops", message())
    assert "canary" not in str(refused.value)
    monkeypatch.delenv("TEST_HOOK")
    with pytest.raises(TerminalError, match="TEST_HOOK is not set"):
        await channels.send("ops", message())


class _Mailbox:
    def __init__(self) -> None:
        self.got: list[bytes] = []

    async def handle_DATA(self, _: object, __: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.got.append(envelope.content)
        return "250 OK"


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Mailbox]:
    box = _Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    monkeypatch.setenv("TEST_SMTP", f"smtp://127.0.0.1:{port}")
    yield box
    controller.stop()


async def test_a_mail_says_what_it_is_about_and_no_more_headers(channels: Channels, mailbox: _Mailbox) -> None:
    sent = message("Disk full\r\nBcc: everybody@example.com")
    await channels.send("mail", sent)
    mail = message_from_bytes(mailbox.got[0], policy=default)
    assert mail["Subject"] == "[error] Disk full Bcc: everybody@example.com"
    assert mail["Bcc"] is None
    assert mail["Message-ID"] == f"<{sent.id}@example.com>"
    assert mail.get_content().strip() == "Make room."


def test_channels_have_names_and_one_is_always_there(channels: Channels, tmp_path: Path) -> None:
    assert channels.names == ("chat", "log", "mail", "ops")
    assert Channels.load(None).names == ("log",)
    with pytest.raises(NotFoundError, match="Channels: chat, log, mail, ops"):
        channels.require("pager")
    for text in ("channels: 5", "x: {}", "channels: {a: {kind: fax}}", "channels: {a: {kind: slack, url: https://x}}"):
        path = tmp_path / "wrong.yaml"
        path.write_text(text)
        with pytest.raises(BadInputError):
            Channels.load(path)
