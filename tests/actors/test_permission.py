"""What policy forbids an agent, it neither receives nor publishes."""

from pathlib import Path

import pytest

from factory.actors.permission import Permissions
from factory.actors.settlement import Settler
from factory.domain.errors import BadInputError
from factory.events.bus import EventBus
from factory.recovery.policy import Policies
from factory.service import FactoryService
from factory.settings import Settings
from factory.storage.database import Database
from tests.actors.test_settlement import claimed, first, result


def _forbid(folder: Path, action: str, agent: str) -> Path:
    (folder / "own.cedar").write_text(
        f"""
        @id("not-this-agent")
        @reason("it is being looked into")
        forbid (principal == Service::"service:{agent}", action == Action::"{action}", resource);
        """
    )
    return folder


@pytest.mark.parametrize("action", ["event:receive", "agent:execute", "task:assign"])
async def test_an_agent_that_may_not_work_is_not_started(settings: Settings, tmp_path: Path, action: str) -> None:
    forbidding = settings.model_copy(update={"policy_dir": _forbid(tmp_path, action, "backend-developer")})
    with pytest.raises(BadInputError, match=r"backend-developer.*it is being looked into.*not-this-agent"):
        await FactoryService.open(forbidding)
    async with await FactoryService.open(settings) as opened:
        assert opened.settings.policy_dir is None


async def test_what_an_agent_may_not_publish_becomes_a_dead_letter(
    bus: EventBus, database: Database, tmp_path: Path
) -> None:
    (delivery,) = await claimed(bus, database, first())
    made = result(delivery, "said")
    permissions = Permissions.load(_forbid(tmp_path, "event:publish", made.outcome.agent))
    await Settler(database, bus, Policies.load(), permissions).settle([made])
    (letter,) = await database.fetch("SELECT category, reason, error_type FROM dead_letter")
    assert letter["category"] == "validation"
    assert "may not publish" in letter["reason"]
    assert "it is being looked into" in letter["reason"]
    published = await database.fetch("SELECT event_type FROM event WHERE originating_agent = $1", made.outcome.agent)
    assert published == []
