"""Which log lines to write, and which only to count. Pure.

Whatever a peer, an object, the kernel or a client can bring about, it can bring about
16,000 times a second. Of lines alike the first are written at once; those that follow are
counted, and told by one line an interval for as long as they come:

    where in the program -> whom it is about -> why

Each level has a bound, so that neither thousands of peers nor made-up reasons
can fill the log, or memory: what is beyond it is counted together.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

INTERVAL: Final = 10.0  # seconds
BURST: Final = 10  # lines alike within an interval that are all written
MOST_SUBJECTS: Final = 1000  # of one place, within an interval
MOST_REASONS: Final = 5  # of one subject
MOST_KINDS: Final = 4096  # remembered in all, some 1,100 octets each
_PART_LEN: Final = 100  # characters that distinguish subjects and reasons
_NO_FIELDS: Final[Mapping[str, object]] = MappingProxyType({})


class Kind(NamedTuple):
    """What makes lines alike.

    Attributes:
        place: In the program: file and line.
        subject: Whom it is about: a peer, an object, a client.
        reason: Why; empty if there is only one.
    """

    place: tuple[str, int]
    subject: str = ""
    reason: str = ""


class Summary(NamedTuple):
    """A summary of suppressed lines.

    Attributes:
        level: Of the last of them.
        logger: Its name.
        text: Its text.
        number: How many.
        seconds: Within how long.
        fields: Of the last of them.
    """

    level: int
    logger: str
    text: str
    number: int
    seconds: float
    fields: Mapping[str, object]


class _Entry:
    __slots__ = ("count", "fields", "level", "logger", "since", "text", "written")

    def __init__(self, since: float) -> None:
        self.since = since
        self.written = 0
        self.count = 0
        self.level = 0
        self.logger = ""
        self.text = ""
        self.fields = _NO_FIELDS


class LogLimit:
    """Counts lines.

    Attributes:
        counted: Lines that were not written, ever.
    """

    def __init__(self) -> None:
        self.counted = 0
        self._entries: dict[Kind, _Entry] = {}
        self._subjects: dict[tuple[str, int], set[str]] = {}
        self._reasons: dict[tuple[tuple[str, int], str], int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def admits(
        self, kind: Kind, now: float, count: int = 1, burst: int = BURST
    ) -> bool:
        """Return whether to write a line now; else ``hold`` it.

        Args:
            kind: Of the line.
            now: Monotonic seconds.
            count: How many events the line stands for; those beyond one are in its text.
            burst: How many of its kind are written within an interval.
        """
        kind = self._bounded(kind, now)
        entry = self._entries[kind]
        if entry.written < burst and kind.subject != _OTHERS:
            entry.written += 1
            return True
        entry.count += count
        self.counted += count
        return False

    def hold(
        self,
        kind: Kind,
        level: int,
        logger: str,
        text: str,
        fields: Mapping[str, object] = _NO_FIELDS,
    ) -> None:
        """Keep the last line of a kind for its summary.

        Args:
            kind: Of the line.
            level: Its severity.
            logger: Its name.
            text: Its text.
            fields: Its values, plain ones of bounded size.
        """
        entry = self._entries.get(self._known(kind))
        if entry is not None:
            entry.level, entry.logger, entry.text = level, logger, text
            entry.fields = fields

    def _known(self, kind: Kind) -> Kind:
        """Return the kind that counts a line: its own, or a shared one."""
        kind = _short(kind)
        if kind in self._entries:
            return kind
        others = kind._replace(reason=_OTHERS)
        if others in self._entries:
            return others
        return Kind(kind.place, _OTHERS)

    def _bounded(self, kind: Kind, now: float) -> Kind:
        """Make room for a kind, or return the one that takes its place."""
        kind = _short(kind)
        if kind in self._entries:
            return kind
        subjects = self._subjects.setdefault(kind.place, set())
        is_full = len(self._entries) >= MOST_KINDS
        if kind.subject not in subjects and (is_full or len(subjects) >= MOST_SUBJECTS):
            kind = Kind(kind.place, _OTHERS)
        elif is_full or self._reasons.get(kind[:2], 0) >= MOST_REASONS:
            kind = kind._replace(reason=_OTHERS)
        if kind not in self._entries:
            self._entries[kind] = _Entry(now)
            if kind.subject != _OTHERS:
                subjects.add(kind.subject)
                self._reasons[kind[:2]] = self._reasons.get(kind[:2], 0) + 1
        return kind

    def summaries(self, now: float, *, at_once: bool = False) -> list[Summary]:
        """Return summaries of suppressed lines; forget what has ended.

        Args:
            now: Monotonic seconds.
            at_once: Also of intervals that are not over, since the program ends.
        """
        found = []
        for kind, entry in tuple(self._entries.items()):
            seconds = now - entry.since
            if seconds < INTERVAL and not at_once:
                continue
            if not entry.count:
                self._forget(kind)
                continue
            found.append(
                Summary(
                    entry.level,
                    entry.logger,
                    entry.text,
                    entry.count,
                    seconds,
                    entry.fields,
                )
            )
            entry.since, entry.count = now, 0
        return found

    def _forget(self, kind: Kind) -> None:
        del self._entries[kind]
        if kind.subject == _OTHERS:
            return
        left = self._reasons[kind[:2]] - 1
        if left:
            self._reasons[kind[:2]] = left
            return
        del self._reasons[kind[:2]]
        subjects = self._subjects[kind.place]
        subjects.discard(kind.subject)
        if not subjects:
            del self._subjects[kind.place]


_OTHERS: Final = "\0others"  # no text that a line can have


def _short(kind: Kind) -> Kind:
    return Kind(kind.place, kind.subject[:_PART_LEN], kind.reason[:_PART_LEN])
