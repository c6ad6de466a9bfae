"""The portal in a browser: a gateway over a real connection, with things to look at."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import Browser, Page, async_playwright

from factory.serve.app import build_app
from factory.settings import Settings
from tests.serve.conftest import LIMITS, Office, open_office

CHROMIUM = "/usr/bin/chromium"
PASSWORD = "correct horse battery"  # noqa: S105 - of a test's user


@dataclass
class Portal:
    """A running portal.

    Attributes:
        url: Where it is.
        office: The same gateway, as the other tests use it.
    """

    url: str
    office: Office


@pytest.fixture
async def portal(settings: Settings, tmp_path: Path) -> AsyncIterator[Portal]:
    """Serve a portal with a user who has a password."""
    limits = tmp_path / "limits.yaml"
    limits.write_text(LIMITS)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with open_office(settings.model_copy(update={"rate_limits": limits}), url) as office:
            await office.gateway.identity.users.change("ada", password=PASSWORD)
            await office.gateway.identity.users.change("root", password=PASSWORD)
            config = uvicorn.Config(build_app(office.gateway), log_level="error", timeout_graceful_shutdown=1)
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve(sockets=[listening]))
            while not server.started:
                await asyncio.sleep(0.01)
            try:
                yield Portal(url, office)
            finally:
                server.should_exit = True
                await task


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Start Debian's Chromium."""
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        await opened.close()


@pytest.fixture
async def page(browser: Browser, portal: Portal) -> AsyncIterator[Page]:
    """Open a page on the portal; what its scripts complain of fails the test."""
    complaints: list[str] = []
    context = await browser.new_context(base_url=portal.url)
    opened = await context.new_page()
    opened.set_default_timeout(15_000)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    await context.close()
    assert complaints == []


async def sign_in(page: Page, name: str = "ada") -> None:
    """Sign in by the form."""
    await page.goto("/sign-in")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/projects")
