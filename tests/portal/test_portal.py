"""What people do at the portal, in a real browser."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from playwright.async_api import Page, expect

from factory.control.projects import get_project, set_status
from factory.control.submission import first_event
from factory.domain.errors import ErrorCategory
from factory.domain.ids import new_id
from factory.domain.project import Project, ProjectStatus
from factory.domain.task import TaskError
from factory.events.contracts.recovery import EventReceived
from factory.events.contracts.system import ProjectStatusChanged
from factory.events.topics import Topic
from tests.portal.conftest import PASSWORD, Portal, sign_in
from tests.serve.conftest import VISION

XSS = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


async def _move(portal: Portal, project: Project, status: ProjectStatus) -> None:
    gateway = portal.office.gateway
    async with gateway.database.transaction() as connection:
        current = await get_project(connection, project.id)
        cause = await first_event(connection, current)
        await set_status(connection, current, status)
        payload = ProjectStatusChanged(previous=current.status, current=status, reason="test")
        event = cause.caused(payload, topic=Topic.SYSTEM, originating_agent="test", event_id=new_id())
        await gateway.service.bus.publish(connection, [event])


async def _dead_letter(portal: Portal, project: Project, reason: str) -> None:
    gateway = portal.office.gateway
    bus = gateway.service.bus
    async with gateway.database.transaction() as connection:
        cause = await first_event(connection, await get_project(connection, project.id))
        event = cause.caused(
            EventReceived(source="test", kind="ping", body={}), topic=Topic.SYSTEM, originating_agent="test"
        )
        await bus.publish(connection, [event])
    owner = await bus.register("test")
    (delivery,) = await bus.claim({"event-dispatcher.events": 1}, owner)
    error = TaskError(category=ErrorCategory.SCHEMA, retryable=False, message=reason, error_type="X", stack="here")
    async with gateway.database.transaction() as connection:
        await bus.dead_letter(connection, delivery, error)


async def test_a_vision_is_handed_in_and_watched_without_loading_again(page: Page, portal: Portal) -> None:
    await sign_in(page)
    await page.get_by_role("link", name="Submit a vision").click()
    await page.get_by_label("Vision", exact=True).fill("nothing to build")
    await page.get_by_role("button", name="Build it").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.get_by_label("Vision", exact=True).fill(VISION)
    await page.get_by_role("button", name="Build it").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Clinic")
    await expect(page.get_by_text("visioning").first).to_be_visible()
    async with portal.office.gateway.database.transaction() as connection:
        project = await get_project(connection, page.url.rpartition("/")[2])
    await page.evaluate("window.stays = true")
    await _move(portal, project, ProjectStatus.FAILED)
    await expect(page.locator("#live .state").first).to_have_text("failed")
    assert await page.evaluate("window.stays") is True


async def test_artifacts_are_rendered_compared_and_descend_from_the_vision(page: Page, portal: Portal) -> None:
    project = await portal.office.project()
    diagram = "```mermaid\nflowchart LR\n  a --> b\n```\n"
    await portal.office.artifact(project, {"docs/backlog.md": f"# Stories\n\n- book\n\n{diagram}"})
    await portal.office.artifact(project, {"docs/backlog.md": "# Stories\n\n- cancel\n", "src/a.py": "def f(): pass\n"})
    await sign_in(page)
    await page.goto(f"/projects/{project.id}/artifacts")
    await page.get_by_role("link", name="backlog").first.click()
    await expect(page.get_by_role("heading", name="Stories")).to_be_visible()
    picture = page.locator(".diagram img")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.complete && image.naturalWidth > 0")
    await page.goto(f"/projects/{project.id}/artifacts")
    await page.get_by_role("link", name="backlog").last.click()
    await page.get_by_role("link", name="src/a.py").click()
    await expect(page.locator("pre .hl-k").first).to_have_text("def")
    await page.get_by_role("button", name="Compare").click()
    await expect(page.locator(".hl-gi").filter(has_text="cancel")).to_be_visible()
    await page.goto(f"/projects/{project.id}/lineage")
    await expect(page.locator("svg .node")).to_have_count(3)


async def test_a_dead_letter_is_corrected_and_delivered_again(page: Page, portal: Portal) -> None:
    project = await portal.office.project()
    await _dead_letter(portal, project, "the event goes to nobody")
    await sign_in(page, "root")
    await page.get_by_role("link", name="Dead letters").click()
    await page.locator("tbody a").first.click()
    await expect(page.get_by_text("the event goes to nobody").first).to_be_visible()
    payload = page.get_by_label("Payload")
    await payload.fill('{"source": 5}')
    await page.get_by_label("Why").fill("a typing error")
    await page.get_by_role("button", name="Deliver again").click()
    await expect(page.get_by_role("alert")).to_contain_text("kind")
    await payload.fill('{"source": "test", "kind": "pong", "topic": "", "body": {}}')
    await page.get_by_label("Why").fill("a typing error")
    await page.get_by_role("button", name="Deliver again").click()
    await expect(page.locator(".facts .state")).to_have_text("redriven")


@pytest.mark.parametrize("path", ["", "/artifacts", "/events", "/lineage"])
async def test_what_anybody_wrote_runs_nowhere(page: Page, portal: Portal, path: str) -> None:
    project = await portal.office.project(name=XSS)
    await portal.office.artifact(project, {"docs/backlog.md": f"# {XSS}\n\n[x](javascript:alert(1))\n\n{XSS}\n"})
    await _dead_letter(portal, project, XSS)
    await sign_in(page, "root")
    for where in ("/projects", f"/projects/{project.id}{path}", "/dead-letters", f"/memory?q={XSS}"):
        await page.goto(where)
        assert await page.title() != "owned", where
        assert await page.locator("main script, main img[onerror], main a[href^='javascript']").count() == 0, where
    await page.goto(f"/projects/{project.id}/artifacts")
    await page.get_by_role("link", name="backlog").first.click()
    assert await page.title() != "owned"
    assert await page.locator("main script, main img[onerror], main a[href^='javascript']").count() == 0


async def test_the_main_way_needs_no_mouse(page: Page, portal: Portal) -> None:
    project = await portal.office.project()
    await page.goto("/sign-in")
    await page.keyboard.type("ada")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/projects")
    await page.keyboard.press("Tab")
    await expect(page.locator(":focus")).to_have_text("Skip to content")
    await page.keyboard.press("Enter")
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.locator(":focus").text_content() == "Clinic":
            break
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/projects/{project.id}")


async def test_light_and_dark_are_kept(page: Page, portal: Portal) -> None:
    await sign_in(page)
    before = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.get_by_role("button", name="Switch between light and dark").click()
    after = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert before != after
    await page.reload()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == after
    assert portal.url in page.url


@asynccontextmanager
async def _session(portal: Portal, name: str = "ada") -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=portal.url) as client:
        answer = await client.post("/sign-in", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303
        assert "httponly" in answer.headers["set-cookie"].lower()
        assert "samesite=lax" in answer.headers["set-cookie"].lower()
        yield client


async def test_a_form_of_another_site_changes_nothing(portal: Portal) -> None:
    async with _session(portal) as client:
        form = {"vision": VISION, "name": "", "key": "k"}
        assert (await client.post("/visions", data=form)).status_code == 403
        page = (await client.get("/visions/new")).text
        found = re.search(r'name="csrf" value="([^"]+)"', page)
        assert found is not None
        token = found[1]
        foreign = {"Origin": "https://evil.example"}
        assert (await client.post("/visions", data={**form, "csrf": token}, headers=foreign)).status_code == 403
        cross = {"Sec-Fetch-Site": "cross-site"}
        assert (await client.post("/visions", data={**form, "csrf": token}, headers=cross)).status_code == 403
        sent = await asyncio.gather(*(client.post("/visions", data={**form, "csrf": token}) for _ in range(2)))
        assert {answer.status_code for answer in sent} <= {303, 422, 409}
        again = await client.post("/visions", data={**form, "csrf": token})
        assert again.status_code == 303
    token = await portal.office.token("root")
    counts = (await portal.office.get("/api/v1/projects/counts", token)).json()
    assert counts["total"] == 1


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
async def test_signing_in_leads_nowhere_else(portal: Portal, target: str) -> None:
    async with httpx.AsyncClient(base_url=portal.url) as client:
        form = {"name": "ada", "password": PASSWORD, "next": target}
        answer = await client.post("/sign-in", data=form)
    assert answer.headers["location"] == "/"


async def test_a_session_ends_with_its_user(portal: Portal) -> None:
    async with _session(portal) as client:
        assert (await client.get("/projects")).status_code == 200
        await portal.office.gateway.identity.users.change("ada", disabled=True)
        answer = await client.get("/projects")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/sign-in?next=/projects"


async def test_a_link_signs_in_once(portal: Portal) -> None:
    code = await portal.office.gateway.identity.users.sign_in_link("bob")
    async with httpx.AsyncClient(base_url=portal.url) as client:
        assert (await client.get(f"/sign-in?code={code}")).status_code == 200
        assert (await client.post("/sign-in/link", data={"code": code})).status_code == 303
        assert (await client.get("/projects")).status_code == 200
    async with httpx.AsyncClient(base_url=portal.url) as client:
        assert (await client.post("/sign-in/link", data={"code": code})).status_code == 401


async def test_an_application_is_let_in_by_whoever_is_signed_in(portal: Portal) -> None:
    from base64 import urlsafe_b64encode  # noqa: PLC0415 - only here
    from hashlib import sha256  # noqa: PLC0415 - only here

    from factory.identity.principal import Scope  # noqa: PLC0415 - only here

    back = "http://127.0.0.1:9/callback"
    await portal.office.gateway.identity.clients.add_public(
        "app", name="App", redirect_uris=[back], scopes=[Scope.READ]
    )
    verifier = "v" * 64
    query = {
        "client_id": "app",
        "redirect_uri": back,
        "response_type": "code",
        "state": "s1",
        "code_challenge": urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    async with _session(portal) as client:
        sent = await client.get("/oauth/authorize", params=query)
        returned = httpx.URL(sent.headers["location"])
        assert returned.params["state"] == "s1"
        assert returned.params["iss"] == portal.url
        other = await client.get("/oauth/authorize", params={**query, "redirect_uri": "http://evil.example"})
        assert other.status_code == 400
        form = {
            "grant_type": "authorization_code",
            "client_id": "app",
            "code": returned.params["code"],
            "redirect_uri": back,
            "code_verifier": verifier,
        }
        tokens = (await client.post("/oauth/token", data=form)).json()
        me = await portal.office.get("/api/v1/me", tokens["access_token"])
        assert me.json()["subject"] == "user:ada"
        assert (await client.post("/oauth/token", data=form)).json()["error"] == "invalid_grant"
        refreshed = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": tokens["refresh_token"]}
        # The code came twice: what it gave is over.
        assert (await client.post("/oauth/token", data=refreshed)).json()["error"] == "invalid_grant"


async def test_every_page_of_a_large_factory_stays_small(portal: Portal) -> None:
    gateway = portal.office.gateway
    big = await portal.office.project(name="Big")
    async with gateway.database.transaction() as connection:
        await connection.execute(
            """
            INSERT INTO project (id, name, slug, blueprint, status, trace_id, build_key, tenant)
            SELECT gen_random_uuid(), 'P' || n, 'p', 'api-service', 'released', repeat('a', 32), n::text, 'north'
            FROM generate_series(1, 10000) n
            """
        )
        cause = await first_event(connection, big)
        payload = ProjectStatusChanged(
            previous=ProjectStatus.VISIONING, current=ProjectStatus.VISIONING, reason="x" * 100
        )
        many = [
            cause.caused(payload, topic=Topic.SYSTEM, originating_agent="test", event_id=new_id()) for _ in range(2_000)
        ]
        await gateway.service.bus.publish(connection, many)
    async with _session(portal, "root") as client:
        paths = ("/projects", "/projects?status=released", f"/projects/{big.id}", f"/projects/{big.id}/events")
        for path in (*paths, f"/projects/{big.id}/lineage", "/usage", "/audit", "/approvals", "/dead-letters"):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert len(answer.content) < 100_000, path
        listed = await client.get("/projects")
        assert listed.text.count("<tr>") <= 51
        assert "10000" in listed.text
        following = re.search(r'rel="next" href="([^"]+)"', listed.text)
        assert following is not None
        assert (await client.get(following[1].replace("&amp;", "&"))).status_code == 200
