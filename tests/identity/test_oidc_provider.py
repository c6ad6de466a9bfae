"""A real OpenID Connect provider: its tokens open the gateway, its keys rotate, its clients are revoked."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from factory.identity import keysets
from factory.settings import Settings
from tests.serve.conftest import LIMITS, open_office

PACKAGE = "oidc-provider@9.13.3"
SCRIPT = Path(__file__).with_name("provider.mjs")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the provider, and give its address."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm and node are needed to run the provider")
    folder = tmp_path_factory.mktemp("provider")
    command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--silent", "--prefix", str(folder), PACKAGE]
    subprocess.run(command, check=True, timeout=180, cwd=folder)
    process = subprocess.Popen(
        [node, str(SCRIPT), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(20)


def _token(provider: str) -> httpx.Response:
    form = {"grant_type": "client_credentials", "scope": "factory.read", "resource": "urn:factory"}
    discovered = httpx.get(f"{provider}/.well-known/openid-configuration").json()
    return httpx.post(discovered["token_endpoint"], data=form, auth=("reporter", "a-secret-of-the-test"))


async def test_a_provider_opens_the_gateway_until_it_does_not(
    provider: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuers = tmp_path / "issuers.yaml"
    issuers.write_text(
        f"""
issuers:
  - name: company
    issuer: {provider}
    audience: factory
    algorithms: [ES256]
    tenant: north
    default_roles: [platform-user]
"""
    )
    limits = tmp_path / "limits.yaml"
    limits.write_text(LIMITS)
    changed = settings.model_copy(update={"issuers": issuers, "rate_limits": limits})
    async with open_office(changed) as office:
        first = _token(provider).json()["access_token"]
        me = (await office.get("/api/v1/me", first)).json()
        assert me["tenant"] == "north"
        assert me["roles"] == ["platform-user"]
        assert me["scopes"] == ["factory.read"]
        assert me["subject"].startswith(f"{provider}|")
        assert (await office.get("/api/v1/projects", first)).status_code == 200
        written = await office.post("/api/v1/vision/create", {"vision": "# X\n\nAs a clerk I want a thing."}, first)
        assert written.status_code == 403
        assert (await office.get("/internal/observability/metrics", first)).status_code == 404

        httpx.get(f"{provider}/test/rotate").raise_for_status()
        monkeypatch.setattr(keysets, "_ASK_AGAIN_SECONDS", 0)
        second = _token(provider).json()["access_token"]
        assert second.split(".")[0] != first.split(".")[0]
        assert (await office.get("/api/v1/me", second)).status_code == 200
        assert (await office.get("/api/v1/me", first)).status_code == 200

        httpx.get(f"{provider}/test/revoke").raise_for_status()
        assert _token(provider).status_code == 401
