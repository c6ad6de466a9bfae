"""Which traces a process keeps, when it cannot keep them all."""

import time
from collections.abc import Callable

from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

_WINDOW_SECONDS = 1.0
# Beyond so many times the limit nothing more is recorded in the second in which the load came.
_BURST = 2
# What ratio samplers of OpenTelemetry compare with: the lower 64 bits of a trace id.
_BITS = TraceIdRatioBased.TRACE_ID_LIMIT
_DIGITS = slice(19, 35)
_SAMPLED = frozenset("13579bdf")


class Sampler:
    """Keeps a share of the traces, smaller while there is more than may be recorded.

    The share is chosen by the trace id, so that under load fewer traces are whole instead of all in pieces, and
    processes with the same share keep the same ones. A trace that began in quieter times may then have gaps.

    Args:
        share: Of the traces, from 0 to 1, where there is time for it.
        limit: Pieces of work (attempts, commits, requests) that are recorded per second; about so many where more
            are asked for.
        clock: Tells the time in seconds.
    """

    def __init__(self, share: float, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = share
        self._limit = limit
        self._clock = clock
        self._since = clock()
        self._asked = 0
        self._kept = 0
        self._bound = _bound(share)

    def keeps(self, traceparent: str) -> bool:
        """Tell whether a piece of work is recorded, and count it.

        Args:
            traceparent: A W3C traceparent of version 00.
        """
        now = self._clock()
        if (elapsed := now - self._since) >= _WINDOW_SECONDS:
            self._narrow(self._asked / elapsed)
            self._since, self._asked, self._kept = now, 0, 0
        self._asked += 1
        if self._kept >= self._limit * _BURST:
            return False
        kept = traceparent[-1] in _SAMPLED and int(traceparent[_DIGITS], 16) < self._bound
        self._kept += kept
        return kept

    def _narrow(self, rate: float) -> None:
        self._bound = _bound(min(self._most, self._limit / max(rate, 1)))


def _bound(share: float) -> int:
    return round(share * (_BITS + 1))
