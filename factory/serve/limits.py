"""Rate limits: how many requests of a class somebody may make in a time (R28)."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from factory.domain.errors import BadInputError
from factory.serve.problems import HttpError
from factory.serve.route_class import RouteClass
from factory.settings import Settings
from factory.storage.rule_files import load_rules

# After Redis failed, each replica counts for itself this long before it asks again.
_ALONE_SECONDS = 5.0
_log = structlog.stdlib.get_logger(__name__)


def _readable(limit: str) -> str:
    parse(limit)
    return limit


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LimitRule(_Strict):
    """A limit of some classes of routes.

    Attributes:
        limit: As `limits` reads it: `300/minute`.
    """

    classes: Annotated[tuple[RouteClass, ...], Field(min_length=1)]
    limit: Annotated[str, AfterValidator(_readable)]


class LimitRules(_Strict):
    """The rules in their order."""

    limits: tuple[LimitRule, ...]


@dataclass(frozen=True, slots=True)
class LimitState:
    """What is left of a limit.

    Attributes:
        headers: `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers.
    """

    headers: Mapping[str, str]


class Limits:
    """Counts requests: in Redis for all replicas together, else in this process.

    While Redis does not answer, each replica counts for itself: a limit is then as many times as large as there are
    replicas, which is better than letting nobody in.

    Raises:
        BadInputError: The file of limits cannot be used, or a class has no limit.
    """

    def __init__(self, settings: Settings) -> None:
        rules = load_rules(
            LimitRules, "factory.serve", "limits.yaml", settings.rate_limits, _merged, title="rate limits"
        )
        self._items: dict[RouteClass, RateLimitItem] = {}
        for rule in rules.limits:
            for route_class in rule.classes:
                self._items.setdefault(route_class, parse(rule.limit))
        if missing := sorted(set(RouteClass) - self._items.keys()):
            raise BadInputError(
                f"there is no limit for {missing[0]} routes.", remedy="Add one.", field="FACTORY_RATE_LIMITS"
            )
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._storage: Storage | None = None
        self._shared: SlidingWindowCounterRateLimiter | None = None
        if settings.redis_url is not None:
            self._storage = RedisStorage(f"async+{settings.redis_url.get_secret_value()}", implementation="coredis")
            self._shared = SlidingWindowCounterRateLimiter(self._storage)
        self._alone_until = 0.0

    async def close(self) -> None:
        """Leave Redis."""
        bridge = getattr(self._storage, "bridge", None)
        storage = getattr(bridge, "storage", None)
        if storage is not None:
            await storage.connection_pool.disconnect()

    async def check(self, key: str, route_class: RouteClass) -> LimitState:
        """Count a request, and return what is left.

        Args:
            key: Whose it is.
            route_class: Which limit it counts against.

        Raises:
            HttpError: It is one too many (429); `Retry-After` tells when to try again.
        """
        item = self._items[route_class]
        counted = await self._count(item, key, route_class)
        allowed, remaining, reset = counted
        wait = max(0, round(reset - time.time()))
        window = item.get_expiry()
        headers = {
            "RateLimit-Policy": f'"{route_class}";q={item.amount};w={window}',
            "RateLimit": f'"{route_class}";r={max(0, remaining)};t={wait}',
        }
        if not allowed:
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"there were more than {item.amount} {route_class} requests in {window} seconds.",
                remedy="Send fewer, or wait as Retry-After says.",
                headers={**headers, "Retry-After": str(max(1, wait))},
            )
        return LimitState(headers)

    async def _count(self, item: RateLimitItem, key: str, route_class: RouteClass) -> tuple[bool, int, float]:
        if self._shared is not None and time.monotonic() >= self._alone_until:
            try:
                return await _hit(self._shared, item, key, route_class)
            except Exception as error:  # noqa: BLE001 - whatever Redis and its client raise
                _log.warning("limits_alone", reason=repr(error))
                self._alone_until = time.monotonic() + _ALONE_SECONDS
        return await _hit(self._alone, item, key, route_class)


async def _hit(
    limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, key: str, route_class: RouteClass
) -> tuple[bool, int, float]:
    allowed = await limiter.hit(item, route_class.value, key)
    stats = await limiter.get_window_stats(item, route_class.value, key)
    return allowed, stats.remaining, stats.reset_time


def _merged(own: Any, shipped: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ANN401 - whatever the file holds
    """Let the own rules come first."""
    return {"limits": [*own["limits"], *shipped["limits"]]} if isinstance(own, dict) else {"limits": own}
