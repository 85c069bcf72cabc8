"""What is wrong with collections of Kubernetes' API: one line for all that have the same fault.

An outage stops every watch at once, and a role that was replaced refuses every kind. Nine lines about
one cause would hide the next one.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from bgpd.datastore.kubernetes.query import Query

GATHER: Final = 1.0  # seconds in which what goes wrong together makes one line
WELL: Final = 10.0  # seconds without trouble after which it counts as over
MOST_TOLD: Final = 32  # faults that are not logged twice
_ENDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "the API accepts the credentials",
        403: "the role grants it",
        404: "the API has the kind again",
    }
)
_END: Final = "the API answers"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Fault:
    """What is wrong with one collection.

    Attributes:
        problem: Why it is not followed; empty before the first failure and while it is.
        code: The HTTP status of that; 0 without one.
        is_absent: The API has no such kind, and never had since the start.
        is_refused: The role does not grant the kind, and never did since the start.
    """

    problem: str = ""
    code: int = 0
    is_absent: bool = False
    is_refused: bool = False


class Troubled(Protocol):
    """A collection, as far as it can be in trouble."""

    @property
    def query(self) -> Query:
        """Which."""

    @property
    def fault(self) -> Fault:
        """What is wrong with it."""

    @property
    def is_listed(self) -> bool:
        """It was read whole once."""


class Trouble:
    """One fault, and the collections that have it.

    Attributes:
        names: Of the collections.
        code: HTTP status; 0 without one.
        problem: What is wrong.
        end: What ends it; empty where nothing was read before.
    """

    __slots__ = ("code", "end", "names", "problem")

    def __init__(self, first: Troubled) -> None:
        self.names: dict[str, None] = {}
        self.code = first.fault.code
        self.problem = first.fault.problem
        self.end = _ENDS.get(self.code, _END) if first.is_listed else ""

    @property
    def kinds(self) -> str:
        """The collections, for people."""
        return ", ".join(sorted(self.names))

    @property
    def reason(self) -> str:
        """What is wrong, and what ends it, for people."""
        if not self.end:
            return self.problem
        return f"{self.problem}; what was read stays in force until {self.end}"

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.kinds}: {self.reason}"


def troubles(collections: Iterable[Troubled]) -> tuple[Trouble, ...]:
    """Return what is wrong; a refusal of several kinds is one, in the words of the first."""
    found: dict[tuple[object, ...], Trouble] = {}
    for each in collections:
        if each.fault.problem:
            key = (each.fault.code or each.fault.problem, each.is_listed)
            found.setdefault(key, Trouble(each)).names[str(each.query)] = None
    return tuple(found.values())


class TroubleLog:
    """Logs what goes wrong once, however often it is tried, until all has been well for a while.

    Args:
        collections: Returns all there are.
    """

    def __init__(self, collections: Callable[[], Iterable[Troubled]]) -> None:
        self._collections = collections
        self._told: dict[object, set[str]] = {}
        self._is_well = True
        self._timer: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Something went wrong, or is well again."""
        if self._timer is None:
            self._arm(GATHER)

    def close(self) -> None:
        """Log nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._tell)

    def _tell(self) -> None:
        self._timer = None
        was_well, found = self._is_well, troubles(self._collections())
        self._is_well = not found
        for trouble in found:
            self._tell_of(trouble)
        if self._is_well and self._told:
            if was_well:
                names = set[str]().union(*self._told.values())
                _log.info(
                    "kubernetes: watching %(kind)s again",
                    {"event": "watch-restored", "kind": ", ".join(sorted(names))},
                )
                self._told.clear()
            else:
                self._arm(WELL)

    def _tell_of(self, trouble: Trouble) -> None:
        told = self._told.setdefault(trouble.code or trouble.problem, set())
        if not trouble.names.keys() <= told:
            _log.warning(
                "kubernetes: %(kind)s: %(reason)s",
                {
                    "event": "watch-failed",
                    "kind": trouble.kinds,
                    "reason": trouble.reason,
                },
            )
            told.update(trouble.names)
        if len(self._told) > MOST_TOLD:
            del self._told[next(iter(self._told))]
