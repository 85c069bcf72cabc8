"""Any datastore, whose last state is kept in a file for a start while it is away.

A node that boots while its datastore is unavailable would announce nothing and have no
peers, and if the way to the datastore leads through BGP, it would stay so. With a saved
state it starts as it was, and takes what the datastore says once that answers.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from bgpd.calico.events import DatastoreEvent, Snapshot
from bgpd.datastore.model import Datastore, Status
from bgpd.texts.files import read_octets
from bgpd.texts.limits import TextError
from bgpd.texts.moments import utc
from bgpd.texts.state_files import make_folder, write_file
from bgpd.worker.turns import in_turns

# Theory
# ------
#       start --datastore answers in time----------------------------> its events
#         |                                                               ^
#         '--it does not, and there is a saved state--> saved snapshot ---'
#
# The saved state is an event like any other: a snapshot that came some time ago. What the
# datastore says later replaces it, and since implausible removals are judged behind this
# (`bgpd.datastore.guarded`), an emptied datastore does not undo a good saved state.
#
# Invariants:
#
# * The file is whole or it is not used: a header says how many entries follow, and the
#   last line repeats it. It is replaced by renaming.
# * It is used by the node that wrote it, for the same kind of datastore, and not beyond its age.
# * A file that cannot be written or read costs nothing but itself, and a line in the log.
# * Neither reading nor writing holds the loop: lines are made a few at a time, and a thread
#   waits for the disk.
#
# Not in it: passwords. They are in Secrets, so a session that needs one waits for the API.

START_WAIT: Final = 5.0  # seconds for the datastore to answer at the start
SAVE_DELAY: Final = (
    10.0  # seconds after a change; what changes meanwhile is saved with it
)
MOST_OCTETS: Final = 256 << 20
FILE_MODE: Final = 0o600
_FORMAT: Final = 1
_LINES: Final = 64  # of one slice

_log = logging.getLogger(__name__)


class StateError(ValueError):
    """A file is not a saved state that can be used; the text says why."""


class SavedState(NamedTuple):
    """What was known at one moment.

    Attributes:
        saved_at: Seconds of the wall clock.
        items: Keys and values.
    """

    saved_at: float
    items: Mapping[str, bytes]


class Owner(NamedTuple):
    """Whose state it is.

    Attributes:
        kind: Of the datastore.
        node: That reads it.
    """

    kind: str
    node: str


def encoded(
    owner: Owner, items: Mapping[str, bytes], saved_at: float
) -> Generator[None, None, bytes]:
    """Return a file's content, in slices.

    Raises:
        StateError: It would be too large.
    """
    head = {"format": _FORMAT, **owner._asdict(), "saved_at": saved_at}
    lines = [json.dumps(head | {"count": len(items)}).encode()]
    size = 0
    for number, (key, value) in enumerate(items.items(), 1):
        text = value.decode("utf-8", "surrogateescape")
        lines.append(json.dumps([key, text]).encode())
        size += len(lines[-1])
        if size > MOST_OCTETS:
            raise StateError(f"the state has more than {MOST_OCTETS} octets")
        if number % _LINES == 0:
            yield
    lines.append(json.dumps({"end": len(items)}).encode())
    return b"\n".join(lines) + b"\n"


def decoded(octets: bytes, owner: Owner) -> Generator[None, None, SavedState]:
    """Return what a file holds, in slices.

    Raises:
        StateError: It is not whole, or of another node or datastore.
    """
    lines = octets.split(b"\n")
    head = _line(lines[0])
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        raise StateError("the first line is not that of a saved state")
    found = Owner(str(head.get("kind")), str(head.get("node")))
    if found != owner:
        raise StateError(f"it is the state of {found.kind} for node {found.node}")
    saved_at, count = head.get("saved_at"), head.get("count")
    if not isinstance(saved_at, int | float) or not isinstance(count, int):
        raise StateError("the first line lacks the time or the count")
    if len(lines) != count + 3 or _line(lines[-2]) != {"end": count}:
        raise StateError("it is incomplete")
    items: dict[str, bytes] = {}
    for number, line in enumerate(lines[1:-2], 1):
        match _line(line):
            case [str(key), str(text)]:
                items[key] = text.encode("utf-8", "surrogateescape")
            case _:
                raise StateError(f"line {number + 1} is not a key and a value")
        if number % _LINES == 0:
            yield
    return SavedState(float(saved_at), items)


def _line(octets: bytes) -> object:
    try:
        return json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise StateError(f"it is not JSON: {error}") from error


class SavedDatastore:
    """Saves a datastore's state, and starts from it; see ``Datastore``.

    Args:
        source: What it reads.
        path: Of the file.
        node: The own node.
        max_age: Seconds; an older state is not used.
        clock: Of the wall, seconds.
        start_wait: Seconds for the datastore to answer.
        save_delay: Seconds from a change to the file.
    """

    def __init__(
        self,
        source: Datastore,
        path: Path | str,
        node: str,
        max_age: float,
        *,
        clock: Callable[[], float] = time.time,
        start_wait: float = START_WAIT,
        save_delay: float = SAVE_DELAY,
    ) -> None:
        self._source = source
        self._path = Path(path)
        self._owner = Owner(source.status.kind, node)
        self._max_age = max_age
        self._clock = clock
        self._start_wait = start_wait
        self._save_delay = save_delay
        self._items: dict[str, bytes] = {}
        self._saved_at = 0.0  # of the state in force, if it came from the file
        self._fault = ""
        self._is_changed = False
        self._saver: asyncio.Task[None] | None = None

    @property
    def status(self) -> Status:
        """The source's state; says since when the saved state is in force."""
        status = self._source.status
        lines = [f"{self._path}: {self._fault}"] if self._fault else []
        if self._saved_at:
            lines.append(self._what_is_in_force())
        warnings = (*status.warnings, *lines)
        return replace(status, warnings=warnings, saved_at=self._saved_at)

    def _what_is_in_force(self) -> str:
        return f"the state saved at {utc(self._saved_at)} is in force: the datastore has not answered since the start"

    def describe(self, key: str, field: str = "") -> str:
        """Return where a value stands, for people."""
        return self._source.describe(key, field)

    async def events(self) -> AsyncGenerator[DatastoreEvent, None]:
        """Yield the source's events, after the saved state if they do not come soon."""
        try:
            async with aclosing(self._source.events()) as source:
                coming = asyncio.ensure_future(anext(source))
                try:
                    await asyncio.wait((coming,), timeout=self._start_wait)
                    if not coming.done() and (saved := await self._restored()):
                        yield Snapshot(0, saved.items)
                    while True:
                        try:
                            event = await coming
                        except StopAsyncIteration:
                            return
                        self._saved_at = 0.0
                        self._follow(event)
                        yield event
                        coming = asyncio.ensure_future(anext(source))
                finally:
                    coming.cancel()
                    await asyncio.gather(coming, return_exceptions=True)
        finally:
            if self._saver is not None:
                self._saver.cancel()

    async def _restored(self) -> SavedState | None:
        """Return the saved state; ``None`` without a usable one."""
        loop = asyncio.get_running_loop()
        try:
            octets = await loop.run_in_executor(
                None, read_octets, self._path, MOST_OCTETS
            )
            saved = await in_turns(decoded(octets, self._owner))
            self._check_age(saved)
        except FileNotFoundError:
            return None
        except (OSError, TextError, StateError) as error:
            self._report(f"cannot use the saved state: {error}")
            return None
        self._saved_at = saved.saved_at
        _log.warning(
            "datastore: %(reason)s",
            {
                "event": "saved-state-in-force",
                "reason": self._what_is_in_force(),
                "file": self._path,
            },
        )
        return saved

    def _check_age(self, saved: SavedState) -> None:
        age = self._clock() - saved.saved_at
        if not 0 <= age <= self._max_age:
            text = f"it is {age:.0f} s old; the limit is {self._max_age:.0f} s"
            raise StateError(text)

    def _follow(self, event: DatastoreEvent) -> None:
        if isinstance(event, Snapshot):
            self._items = dict(event.items)
        else:
            self._items.update(event.puts)
            for key in event.deletes:
                self._items.pop(key, None)
        self._is_changed = True
        if self._saver is None:
            loop = asyncio.get_running_loop()
            self._saver = loop.create_task(self._save(), name="datastore saver")

    async def _save(self) -> None:
        """Save until nothing has changed since; a file that fails is tried with the next."""
        loop = asyncio.get_running_loop()
        while self._is_changed:
            await asyncio.sleep(self._save_delay)
            self._is_changed = False
            try:
                now = self._clock()
                octets = await in_turns(encoded(self._owner, dict(self._items), now))
                await loop.run_in_executor(None, self._write, octets)
            except (OSError, StateError) as error:
                self._report(f"cannot save the state: {error}")
            else:
                self._fault = ""
        self._saver = None

    def _write(self, octets: bytes) -> None:
        make_folder(self._path.parent)
        write_file(self._path, octets, FILE_MODE)

    def _report(self, fault: str) -> None:
        if fault != self._fault:
            _log.warning(
                "datastore: %(file)s: %(reason)s",
                {"event": "saved-state-failed", "file": self._path, "reason": fault},
            )
        self._fault = fault
