"""The bus in memory: what must be true of its deliveries after every operation, in hours of a clock of its own."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

LEASE = 4
MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Rules:
    """What a subscription asks for."""

    name: str
    ordered: bool = False
    block: bool = False
    time_to_live: int | None = None


@dataclass(eq=False)
class Entry:
    """One delivery: `mark` names the publication, which its payload carries."""

    rules: Rules
    mark: str
    event_id: UUID
    project: UUID
    born: int
    due: int
    expires: int | None
    priority: int = 0
    replay: UUID | None = None
    place: int | None = None
    scheduled: bool = False
    state: str = "waiting"
    attempt: int = 0
    fence: int = 0
    deadline: int = 0
    uid: int | None = None


@dataclass
class Published:
    """The last publication of an id."""

    mark: str
    event_id: UUID
    project: UUID
    at: int


@dataclass
class Model:
    """Every delivery there ever was, and the time."""

    subscriptions: tuple[Rules, ...]
    window: int
    now: int = 0
    entries: list[Entry] = field(default_factory=list)
    published: dict[UUID, Published] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    blocks: dict[Entry, int] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    _number: int = 0

    def is_new(self, event_id: UUID) -> bool:
        """Tell whether the id may be published: never seen, or its window is over."""
        known = self.published.get(event_id)
        return known is None or self.now - known.at >= self.window

    def publish(
        self, mark: str, event_id: UUID, project: UUID, *, delay: int | None, priority: int, time_to_live: int | None
    ) -> None:
        """Give every subscription its delivery of an event that is new."""
        self.published[event_id] = Published(mark, event_id, project, self.now)
        for rules in self.subscriptions:
            life = rules.time_to_live if time_to_live is None else time_to_live
            due = self.now + (delay or 0)
            entry = Entry(rules, mark, event_id, project, self._next(), due, None if life is None else due + life)
            entry.priority = priority
            entry.scheduled = delay is not None
            if rules.ordered and not entry.scheduled:
                entry.place = self._next()
            self.entries.append(entry)

    def replay(self, event_id: UUID, names: Iterable[str], replay: UUID) -> None:
        """Give subscriptions one more delivery of the last publication of an id."""
        known = self.published[event_id]
        for rules in self.subscriptions:
            if rules.name in names:
                expires = None if rules.time_to_live is None else self.now + rules.time_to_live
                entry = Entry(rules, known.mark, event_id, known.project, self._next(), self.now, expires)
                entry.replay = replay
                entry.place = self._next() if rules.ordered else None
                self.entries.append(entry)

    def promote(self) -> None:
        """Do what every claim and sweep does first: scheduled work finds its lane, what is too old dies."""
        due = [e for e in self.waiting() if e.scheduled and e.due <= self.now]
        for entry in sorted(due, key=lambda e: (e.due, e.born)):
            entry.scheduled = False
            if entry.rules.ordered:
                entry.place = self._next()
        for entry in self.waiting():
            if entry.expires is not None and entry.expires <= self.now:
                self.die(entry)

    def sweep(self) -> None:
        """Promote, and take back what is past its deadline."""
        self.promote()
        for entry in [e for e in self.entries if e.state == "held" and e.deadline <= self.now]:
            if entry.attempt >= MAX_ATTEMPTS:
                self.die(entry)
            else:
                self.give_back(entry, due=self.now)

    def claimable(self, name: str) -> list[Entry]:
        """Return what a claim of any capacity may take, the best first."""
        if name in self.paused:
            return []
        mine = [e for e in self.waiting() if e.rules.name == name and not e.scheduled and e.due <= self.now]
        if mine and mine[0].rules.ordered:
            return [e for e in mine if self._is_head(e)]
        return sorted(mine, key=lambda e: -e.priority)

    def take(self, entry: Entry, uid: int, fence: int) -> None:
        """Hold an entry for another attempt."""
        entry.state, entry.uid, entry.fence = "held", uid, fence
        entry.attempt += 1
        entry.deadline = self.now + LEASE

    def give_back(self, entry: Entry, *, due: int, uncounted: int = 0) -> None:
        """Let an entry wait again."""
        entry.state, entry.due = "waiting", due
        entry.attempt -= uncounted

    def die(self, entry: Entry) -> None:
        """Make a dead letter of an entry, which may hold its lane."""
        entry.state = "dead"
        if entry.rules.block and entry.place is not None:
            self.blocks[entry] = entry.place

    def redrive(self, entry: Entry) -> None:
        """Let a dead letter wait again: in its place if it held the lane, else at the end."""
        entry.state, entry.due, entry.expires, entry.attempt = "waiting", self.now, None, 0
        entry.scheduled = False
        if entry.rules.ordered:
            entry.place = self.blocks.pop(entry, None) or self._next()

    def discard(self, entry: Entry) -> None:
        """Close a dead letter."""
        entry.state = "discarded"
        self.blocks.pop(entry, None)

    def waiting(self) -> list[Entry]:
        """Return what nobody holds and nobody has ended."""
        return [e for e in self.entries if e.state == "waiting"]

    def _is_head(self, entry: Entry) -> bool:
        lane = [
            e
            for e in self.entries
            if e.rules is entry.rules and e.project == entry.project and e.state in {"waiting", "held"} and e.place
        ]
        blocks = [at for e, at in self.blocks.items() if e.rules is entry.rules and e.project == entry.project]
        place = entry.place or 0
        return place == min(e.place or 0 for e in lane) and not any(at < place for at in blocks)

    def _next(self) -> int:
        self._number += 1
        return self._number
