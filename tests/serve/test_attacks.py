"""What an attacker tries, and the answer: each case by its name."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from factory.identity.audit.reading import walk
from factory.identity.principal import Role, Scope
from factory.settings import Settings
from tests.serve.conftest import URL, VISION, Office, open_office

CLAIMS = {
    "iss": URL,
    "sub": "user:ada",
    "aud": "factory",
    "client_id": "x",
    "scope": "factory.read",
    "roles": ["admin"],
    "tenant": "north",
    "name": "Ada",
    "jti": "1",
}


def _claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {**CLAIMS, "iat": now, "exp": now + 600, **changes}


async def _signed(office: Office, header: dict[str, Any] | None = None, **changes: Any) -> str:
    key = await office.gateway.identity.issuer.keys.active()
    head = {"alg": "ES256", "typ": "at+jwt", "kid": key.kid, **(header or {})}
    return jwt.encode(head, _claims(**changes), key, algorithms=["ES256"])


def _raw(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(part).encode() for part in (header, claims)] + [signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


async def _public_hmac(office: Office) -> str:
    key = await office.gateway.identity.issuer.keys.active()
    unsigned = _raw({"alg": "HS256", "typ": "at+jwt", "kid": key.kid}, _claims()).rstrip(".")
    signature = hmac.digest(key.as_pem(private=False), unsigned.encode(), "sha256")
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def _foreign_key(office: Office) -> str:
    known = await office.gateway.identity.issuer.keys.active()
    key = ECKey.generate_key("P-256")
    return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": known.kid}, _claims(), key, algorithms=["ES256"])


async def _embedded_key(_: Office) -> str:
    key = ECKey.generate_key("P-256")
    head = {"alg": "ES256", "typ": "at+jwt", "jwk": key.as_dict(private=False)}
    return jwt.encode(head, _claims(), key, algorithms=["ES256"])


async def _expired(office: Office) -> str:
    return await _signed(office, exp=int(time.time()) - 1)


async def _not_yet(office: Office) -> str:
    return await _signed(office, nbf=int(time.time()) + 3600)


async def _without_end(office: Office) -> str:
    return await _signed(office, exp=None)


async def _audience(office: Office) -> str:
    return await _signed(office, aud="another")


async def _issuer(office: Office) -> str:
    return await _signed(office, iss="https://evil.example")


async def _id_token(office: Office) -> str:
    return await _signed(office, {"typ": "JWT"}, nonce="n")


async def _critical(office: Office) -> str:
    return (await _signed(office)).replace(
        (await _signed(office)).split(".")[0],
        base64.urlsafe_b64encode(b'{"alg":"ES256","crit":["b64"],"b64":false}').rstrip(b"=").decode(),
    )


async def _none(_: Office) -> str:
    return _raw({"alg": "none", "typ": "at+jwt"}, _claims())


async def _unsigned(office: Office) -> str:
    return (await _signed(office)).rsplit(".", 1)[0] + "."


async def _changed(office: Office) -> str:
    head, _, signature = (await _signed(office)).split(".")
    body = base64.urlsafe_b64encode(json.dumps(_claims(tenant="south")).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


async def _garbage(_: Office) -> str:
    return "a.b.c"


async def _deep(_: Office) -> str:
    nested = b"[" * 5_000 + b"]" * 5_000
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (nested, nested, b"x"))


async def _huge(_: Office) -> str:
    return "a" * 20_000


FORGED = [
    _public_hmac,
    _foreign_key,
    _embedded_key,
    _expired,
    _not_yet,
    _without_end,
    _audience,
    _issuer,
    _id_token,
    _critical,
    _none,
    _unsigned,
    _changed,
    _garbage,
    _deep,
    _huge,
]


@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__.strip("_"))
async def test_a_forged_token_proves_nothing(office: Office, forge: Callable[[Office], Any]) -> None:
    answer = await office.get("/api/v1/projects", await forge(office))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_token_that_was_revoked_ends_at_once(office: Office) -> None:
    principal = await office.gateway.identity.verifier.verify(office.ada)
    assert principal.token_id is not None
    assert principal.expires_at is not None
    await office.gateway.identity.issuer.revoke_access(principal.token_id, principal.expires_at)
    office.gateway.identity.verifier.forget()
    assert (await office.get("/api/v1/projects", office.ada)).status_code == 401
    assert (await office.get("/api/v1/projects", office.bob)).status_code == 200


async def test_tokens_of_a_disabled_user_end(office: Office) -> None:
    await office.gateway.identity.users.change("ada", disabled=True)
    office.gateway.identity.verifier.forget()
    assert (await office.get("/api/v1/projects", office.ada)).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/project/{project}",
        "/api/v1/project/{project}/status",
        "/api/v1/project/{project}/artifacts",
        "/api/v1/project/{project}/lineage",
        "/api/v1/project/{project}/events",
        "/api/v1/project/{project}/events/stream",
        "/api/v1/project/{project}/grants",
        "/api/v1/usage?project_id={project}",
        "/api/v1/artifact/{artifact}",
        "/api/v1/artifact/{artifact}/retrieve",
        "/api/v1/artifact/{artifact}/versions",
        "/api/v1/artifact/{artifact}/diff",
        "/api/v1/artifact/{artifact}/lineage",
        "/api/v1/me/may?action=project:read&project_id={project}",
    ],
)
async def test_what_is_another_tenants_does_not_exist(office: Office, path: str) -> None:
    project = await office.project()
    path = path.format(project=project.id, artifact=await office.vision_of(project))
    assert (await office.get(path, office.eve)).status_code == 404
    assert (await office.get(path, office.root)).status_code == 200 if "stream" not in path else True


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/project/{project}/compensate", {"reason": "x"}),
        ("/api/v1/project/{project}/replay", {}),
        ("/api/v1/project/{project}/grants", {"subject": "user:eve", "policy": "admin"}),
        ("/api/v1/notification/send", {"channel": "log", "subject": "s", "text": "t", "project_id": "{project}"}),
    ],
)
async def test_what_is_another_tenants_cannot_be_changed(office: Office, path: str, body: dict[str, Any]) -> None:
    project = await office.project()
    sent = {name: str(project.id) if value == "{project}" else value for name, value in body.items()}
    assert (await office.post(path.format(project=project.id), sent, office.eve)).status_code == 404


async def test_a_list_shows_nothing_of_other_tenants(office: Office) -> None:
    await office.project()
    for path in ("/api/v1/projects", "/api/v1/escalations", "/api/v1/dead-letters", "/api/v1/notifications"):
        assert (await office.get(path, office.eve)).json()["items"] == [], path
    assert (await office.get("/api/v1/audit", office.eve)).status_code == 200


async def test_a_user_cannot_do_what_an_admin_may(office: Office) -> None:
    project = await office.project()
    for path in ("/api/v1/audit", "/api/v1/usage", f"/api/v1/project/{project.id}/grants"):
        assert (await office.get(path, office.ada)).status_code == 403, path
    raised = {"subject": "user:ada", "policy": "admin"}
    assert (await office.post(f"/api/v1/project/{project.id}/grants", raised, office.ada)).status_code == 403


async def test_a_token_for_reading_changes_nothing(office: Office) -> None:
    token = await office.token("root", [Scope.READ])
    assert (await office.get("/api/v1/projects", token)).status_code == 200
    assert (await office.post("/api/v1/vision/create", {"vision": VISION}, token)).status_code == 403
    assert (await office.get("/api/v1/audit", token)).status_code == 403


async def test_a_guest_sees_what_was_granted_and_no_more(office: Office) -> None:
    await office.gateway.identity.users.add("guest", tenant="north", roles=[Role.GUEST])
    guest = await office.token("guest")
    one, other = await office.project(name="One"), await office.project(name="Other")
    backlog = await office.artifact(one, {"docs/backlog.md": "x\n"})
    assert (await office.get("/api/v1/projects", guest)).json()["items"] == []
    assert (await office.get(f"/api/v1/project/{one.id}", guest)).status_code == 404
    grant = {"subject": "user:guest", "policy": "guest", "kinds": ["backlog"]}
    given = await office.post(f"/api/v1/project/{one.id}/grants", grant, office.root)
    assert given.status_code == 201, given.text
    assert (await office.get(f"/api/v1/project/{one.id}", guest)).status_code == 200
    assert (await office.get(f"/api/v1/artifact/{backlog.id}", guest)).status_code == 200
    assert (await office.get(f"/api/v1/artifact/{await office.vision_of(one)}", guest)).status_code == 403
    assert (await office.get(f"/api/v1/project/{other.id}", guest)).status_code == 404
    listed = (await office.get("/api/v1/projects", guest)).json()["items"]
    assert [project["id"] for project in listed] == [str(one.id)]
    headers = {"Authorization": f"Bearer {office.root}"}
    taken = await office.client.delete(f"/api/v1/grant/{given.json()['id']}", headers=headers)
    assert taken.status_code == 200
    assert (await office.get(f"/api/v1/project/{one.id}", guest)).status_code == 404


@pytest.mark.parametrize(
    "file", ["../../etc/passwd", "/etc/passwd", "docs/../../x", "a\x00b", "..\\x", ".git/config", "docs//x", "./x"]
)
async def test_no_path_leads_out_of_an_artifact(office: Office, file: str) -> None:
    artifact = await office.vision_of(await office.project())
    answer = await office.client.get(
        f"/api/v1/artifact/{artifact}/retrieve",
        params={"file": file},
        headers={"Authorization": f"Bearer {office.ada}"},
    )
    assert answer.status_code in {404, 422}
    assert "root:" not in answer.text


async def test_a_body_that_is_too_large_is_refused(office: Office) -> None:
    answer = await office.post("/api/v1/vision/create", {"vision": "x" * 3_000_000}, office.ada)
    assert answer.status_code == 413


async def test_a_body_that_is_nested_without_end_is_refused(office: Office) -> None:
    headers = {"Authorization": f"Bearer {office.ada}", "Content-Type": "application/json"}
    deep = b'{"vision":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    answer = await office.client.post("/api/v1/vision/create", content=deep, headers=headers)
    assert answer.status_code in {400, 422}


async def test_fields_that_nobody_asked_for_are_refused(office: Office) -> None:
    body = {"vision": VISION, "tenant": "south", "out_dir": "/etc"}
    answer = await office.post("/api/v1/vision/create", body, office.ada)
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"body.tenant", "body.out_dir"}


async def test_nobody_chooses_where_the_factory_calls(office: Office) -> None:
    body = {"channel": "http://169.254.169.254/latest", "subject": "s", "text": "t"}
    assert (await office.post("/api/v1/notification/send", body, office.ada)).status_code == 422
    body = {"channel": "log", "subject": "s", "text": "t", "url": "http://127.0.0.1/"}
    assert (await office.post("/api/v1/notification/send", body, office.ada)).status_code == 422
    body = {"channel": "nowhere", "subject": "s", "text": "t"}
    assert (await office.post("/api/v1/notification/send", body, office.ada)).status_code == 404


async def test_a_line_break_begins_no_header_and_no_line_of_the_log(office: Office) -> None:
    await office.get("/api/v1/projects", office.ada, user_agent="x\ty\x7f", x_correlation_id="a%0d%0aSet-Cookie: b=c")
    answer = await office.get("/api/v1/projects", office.ada, x_correlation_id="a%0d%0aSet-Cookie: b=c")
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-correlation-id"] == answer.headers["x-audit-id"]
    await office.gateway.audit.flush()
    async for entry in walk(office.gateway.database):
        assert b"\n" not in entry.line()
    body = {"channel": "log", "subject": "s\r\nBcc: everybody@example.com", "text": "t"}
    assert (await office.post("/api/v1/notification/send", body, office.ada)).status_code == 422


async def test_an_address_that_is_only_claimed_is_not_believed(gateway_settings: Settings) -> None:
    strict = gateway_settings.model_copy(update={"rate_limits": None})
    async with open_office(strict) as office:
        answers = [await office.get("/api/v1/projects", x_forwarded_for=f"10.0.0.{number}") for number in range(70)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


async def test_a_secret_is_in_no_error_and_no_audit(office: Office) -> None:
    secret = "canary-7f3a9d"  # noqa: S105 - to be looked for
    form = {"grant_type": "client_credentials", "client_id": "x", "client_secret": secret}
    answers = [
        await office.client.post("/oauth/token", data=form),
        await office.client.post("/oauth/token", data={**form, "grant_type": secret}),
        await office.get("/api/v1/projects", secret),
        await office.post("/api/v1/vision/create", {"vision": 5, "password": secret}, office.ada),
        await office.get(f"/api/v1/projects?cursor={secret}", office.ada),
    ]
    await office.gateway.audit.flush()
    told = "".join(answer.text for answer in answers)
    async for entry in walk(office.gateway.database):
        told += entry.line().decode()
    assert secret not in told


async def test_a_cookie_opens_nothing(office: Office) -> None:
    answer = await office.get("/api/v1/projects", cookie=f"token={office.ada}; factory_session={office.ada}")
    assert answer.status_code == 401


async def test_other_origins_are_told_nothing(office: Office) -> None:
    answer = await office.get("/api/v1/projects", office.ada, origin="https://evil.example")
    assert "access-control-allow-origin" not in answer.headers
    preflight = await office.client.options(
        "/api/v1/vision/create",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert preflight.status_code == 405


async def test_a_script_in_an_artifact_is_never_served_as_a_page(office: Office) -> None:
    project = await office.project()
    artifact = await office.artifact(project, {"docs/x.html": "<script>alert(1)</script>", "docs/x.svg": "<svg/>"})
    for file in ("docs/x.html", "docs/x.svg"):
        answer = await office.get(f"/api/v1/artifact/{artifact.id}/retrieve?file={file}", office.ada)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"] == "attachment"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"])
async def test_methods_that_nothing_answers_to_are_refused(office: Office, method: str) -> None:
    headers = {"Authorization": f"Bearer {office.root}"}
    answer = await office.client.request(method, "/api/v1/projects", headers=headers)
    assert answer.status_code == 405


async def test_an_audit_entry_that_was_changed_shows(office: Office) -> None:
    await office.get("/api/v1/projects", office.ada)
    await office.get("/api/v1/projects", office.bob)
    await office.gateway.audit.flush()
    async with office.gateway.database.transaction() as connection:
        with pytest.raises(Exception, match="append-only"):
            await connection.execute("UPDATE audit_entry SET subject = 'user:nobody'")


@pytest.mark.parametrize("number", ["-1", "0", "9223372036854775808", "1e3", "x"])
async def test_numbers_out_of_range_are_refused(office: Office, number: str) -> None:
    assert (await office.get(f"/api/v1/dead-letter/{number}", office.root)).status_code == 422
    assert (await office.get(f"/api/v1/projects?limit={number}", office.root)).status_code == 422


async def test_a_time_without_a_zone_or_of_no_calendar_is_refused(office: Office) -> None:
    for since in ("yesterday", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00"):
        assert (await office.get(f"/api/v1/usage?since={since}", office.root)).status_code == 422


async def test_text_that_postgresql_cannot_keep_is_refused(office: Office) -> None:
    project = await office.project()
    body = {"reason": "a\x00b"}
    answer: httpx.Response = await office.post(f"/api/v1/project/{project.id}/compensate", body, office.root)
    assert answer.status_code == 422
