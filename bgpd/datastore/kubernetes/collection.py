"""One collection of Kubernetes' API, kept up to date through all failures.

It is listed whole, then watched from there. Whatever ends a watch, it goes on from the last
version that was seen; it is listed again only where that is not possible. Until a list has
been read whole nothing is dropped: not when the server is away, not when a role or the kind
itself is gone.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final, Protocol

from bgpd.calico.services import ObjectName
from bgpd.datastore.kubernetes.answers import MAX_VERSION, Object
from bgpd.datastore.kubernetes.client import (
    ANSWER_TIME,
    EXPIRED,
    FORBIDDEN,
    NOT_FOUND,
    OPEN,
    ApiClient,
)
from bgpd.datastore.kubernetes.errors import ApiError, Unreadable
from bgpd.datastore.kubernetes.query import Query
from bgpd.datastore.kubernetes.troubles import Fault
from bgpd.texts.errors import text_of

# Theory
# ------
#        +---- list <---- version unknown: at first, after 410, a state that went back
#        v                                                             ^
#      watch --ends in time--> watch from the last version             |
#        |                                                             |
#        '--breaks--> wait, then list again, or ask whether the server knows our version
#
# Versions are opaque text: they are compared for equality, never for order. So "never back in
# time" is left to the server: each request names the oldest state that is taken
# (`resourceVersionMatch=NotOlderThan`). A server that is behind says so, and is asked again;
# one that was restored from a backup says the same for ever, and after some tries its state
# is taken as it is, read from etcd, for whose answer no cache can be behind.
#
# A watch from a version that a server does not know yet is silent, and after a restored
# backup it would hide every change. Nor is it enough that the server knows the version: a
# restored server writes on, and soon its versions are past ours, of another history. So a small
# collection is listed again whenever its watch broke off, which costs the server's cache one
# answer. Of a large one a single object is requested (`ApiClient.knows`), so that a server that comes
# back is not met by thousands of large lists, and listed some minutes later.
#
# What a list lacks was deleted; or it was lost, if the state went back, or the kind itself was
# gone for a while. The receiver gets to know which, since it may hold what was lost. That a state went back
# shows by versions, if they are numbers: of the list, or of any object in it.
#
# A watch that falls silent looks like a quiet cluster. Servers send a bookmark about once a
# minute, so once one was seen, a longer silence ends the watch. The next watch begins without
# that: a server that was just started sends no bookmarks for a collection that never changes.
#
# A server that is starting has no kinds of CRDs yet, and answers 404. So a 404 is a failure
# like any other, unless the API's discovery has the group and lacks the kind.
#
# Deliberately not here: credentials (they are read again for each new client), what the
# objects mean, and how long something that vanished is held (`bgpd.datastore.guarded`).

FIRST_DELAY = 0.5  # seconds before the second attempt; then twice as long
MAX_DELAY: Final = 30.0
ABSENT_DELAY: Final = 60.0  # seconds between looks for a kind that is not there
MAX_WAIT: Final = 300.0  # seconds, whatever a server asks for
WATCH_TIME = 290  # seconds after which the server ends a watch, on average
WATCH_SPREAD: Final = 0.2  # of it, so that thousands of watches are not renewed at once
RELIST_SPREAD = 5.0  # seconds within which those list again whose version is too old
SILENCE: Final = 150.0  # seconds without a bookmark after which a watch is given up
RESUMES: Final = 4  # watches that are refused in a row before a list is tried
BUSY: Final = frozenset({429, 502, 503, 504})  # no refusal, of a balancer's perhaps
SMALL = 256  # objects of a collection that is listed at once after a watch broke off
LIST_SHARE: Final = 0.25  # of the larger ones listed at each later end of a watch
MOST_OBJECTS = 300_000  # of one collection; 5,000 nodes have 20,000 affinities
MOST_UNREADABLE: Final = 100  # objects of one collection whose problems are kept

_log = logging.getLogger(__name__)

Connect = Callable[[], AbstractAsyncContextManager[ApiClient]]


class Receiver(Protocol):
    """Who takes objects as they come."""

    def put(self, kind: str, name: ObjectName, content: Object) -> None:
        """Take a new or changed object."""

    def drop(self, kind: str, name: ObjectName) -> None:
        """An object is gone."""

    def changed(self, *, is_loss: bool = False) -> None:
        """Act on new events about objects.

        Args:
            is_loss: What was dropped was lost, for all that is known, and not deleted: the
                kind was gone for a while, or the state went back.
        """


class _Position:
    """How far a collection was followed.

    Attributes:
        version: To go on from; empty where a list is needed.
        newest: No older state is taken; ``0`` takes any, and empty asks etcd.
        is_in_doubt: Whether the server still knows it.
        is_unverified: Whether the server's history is still the one that was followed.
        is_lost: What the next list lacks was lost rather than deleted.
        before: The newest version that was seen, if the server seems to have lost it.
        event_count: Events about objects that have come.
    """

    __slots__ = (
        "before",
        "event_count",
        "is_in_doubt",
        "is_lost",
        "is_unverified",
        "newest",
        "version",
    )

    def __init__(self) -> None:
        self.version = ""
        self.newest = "0"
        self.is_in_doubt = False
        self.is_unverified = False
        self.is_lost = False
        self.before = ""
        self.event_count = 0

    def reached(self, version: str) -> None:
        """A list or an event said so."""
        self.version = self.newest = version

    def forget(self) -> None:
        """Take whatever etcd has: the server does not get as far as it was."""
        self.before = self.before or self.newest
        self.version = self.newest = ""

    def listed(self, version: str) -> bool:
        """All was listed again; return whether what it lacks was lost."""
        is_loss = self.is_lost or _is_earlier(version, self.before)
        self.reached(version)
        self.is_in_doubt = self.is_unverified = self.is_lost = False
        self.before = ""
        return is_loss


class Collection:
    """Follows one collection.

    Args:
        query: Which.
        connect: Opens a client for as long as nothing fails.
        receiver: Takes what there is.
        note: Called after each list and when a watch was accepted with nothing, after each
            failure with its text.

    Attributes:
        is_listed: It was read whole once.
        is_followed: A watch was accepted, and nothing went wrong since.
        fault: What is wrong with it.
        unreadable: What is wrong with objects that cannot be read; some of them.
    """

    def __init__(
        self,
        query: Query,
        connect: Connect,
        receiver: Receiver,
        note: Callable[[str], None],
    ) -> None:
        self.is_listed = False
        self.is_followed = False
        self.fault = Fault()
        self.unreadable: dict[str, str] = {}
        self.query = query
        self._connect = connect
        self._receiver = receiver
        self._note = note
        self._known: dict[ObjectName, str] = {}  # with the version of each
        self._position = _Position()
        # In a row, with no event between: all of them, watches that end at once too, and
        # those for which a server is at fault that answers.
        self._failures = self._refusals = 0

    @property
    def names(self) -> frozenset[ObjectName]:
        """What it has; a copy."""
        return frozenset(self._known)

    @property
    def event_count(self) -> int:
        """Events about objects that watches have brought."""
        return self._position.event_count

    async def follow(self) -> None:
        """Follow for ever."""
        while True:
            wait = 0.0
            try:
                async with self._connect() as api:
                    await self._follow_until_failure(api)
            except Exception as error:  # noqa: BLE001  # whatever a client may raise
                wait = self._fail(error)
            await asyncio.sleep(max(wait, self._delay()))

    def forget(self) -> None:
        """Drop all known objects."""
        for name in self._known:
            self._receiver.drop(self.query.kind, name)
        self._known.clear()
        self._receiver.changed()

    async def _follow_until_failure(self, api: ApiClient) -> None:
        try:
            while True:
                await self._follow_once(api)
        except ApiError as error:
            if error.code == NOT_FOUND:
                self._note_absence(is_absent=await api.lacks(self.query))
            raise

    def _note_absence(self, *, is_absent: bool) -> None:
        """Note whether the kind is absent, or gone."""
        if not self.is_listed:
            self.fault.is_absent = is_absent
        elif is_absent:
            self._position.version, self._position.is_lost = "", True

    async def _follow_once(self, api: ApiClient) -> None:
        position = self._position
        if position.is_in_doubt and position.version:
            await self._verify(api)
        if not position.version:
            await self._list(api)
        loop = asyncio.get_running_loop()
        start = loop.time()
        has_heard = await self._watch(api)
        is_short = loop.time() - start < MAX_DELAY
        if not is_short or has_heard:
            self._failures = 0
        elif (self._failures + 1) % RESUMES == 0:
            self._fail(ApiError("the server ends each watch at once"))
            position.version = ""  # what has changed was not heard
        else:
            self._failures += 1
        if position.is_unverified and _is_chosen():
            position.version = ""
        await asyncio.sleep(self._delay())

    async def _verify(self, api: ApiClient) -> None:
        """Find out whether a watch can go on from where the last one broke off.

        Raises:
            ApiError: The server is behind.
        """
        position = self._position
        if not self.query.reads_cache:
            return  # each list costs etcd a read
        if len(self._known) <= SMALL or (position.is_unverified and _is_chosen()):
            position.version = ""
            return
        if not await api.knows(self.query, position.version):
            raise ApiError(
                "the server does not know a version yet that it has sent",
                is_too_new=True,
            )
        position.is_in_doubt, position.is_unverified = False, True

    async def _list(self, api: ApiClient) -> None:
        kind, found, version = self.query.kind, set[ObjectName](), ""
        has_all_names = has_room = True
        if self.query.reads_cache:
            listing = api.cached(self.query, self._position.newest)
        else:
            listing = api.pieces(self.query)
        async with aclosing(listing) as pieces:
            async for piece in pieces:
                version = piece.version
                for content in piece.objects:
                    name = name_of(content)
                    found.add(name)
                    _check_count(len(found))
                    if name in self._known or len(self._known) < 2 * MOST_OBJECTS:
                        self._put(name, content)
                    else:
                        has_room = False  # for names of lists that were cut off
                for each in piece.unreadable:
                    self._skip(each)
                    has_all_names = has_all_names and bool(each.name)
                    found.update(n for n in self._known if n[1] == each.name)
        if has_all_names:  # else one of those that seem to be gone may be there
            for name in self._known.keys() - found:
                self._receiver.drop(kind, name)
                del self._known[name]
        if not has_room:
            raise ApiError("there were too many objects: there is room again")
        is_loss = self._position.listed(version)
        self.is_listed = True
        self.fault.is_absent = self.fault.is_refused = False
        self._receiver.changed(is_loss=is_loss)
        self._note("")

    def _put(self, name: ObjectName, content: Object) -> None:
        """Take an object."""
        version, before = version_of(content), self._known.get(name)
        if before and _is_earlier(version, before):
            self._position.is_lost = True
        self._known[name] = version
        self.unreadable.pop(name[1], None)
        self._receiver.put(self.query.kind, name, content)

    def _skip(self, found: Unreadable) -> None:
        """Leave an object that cannot be read as it was, and tell about it once."""
        text = f"{found.problem}; what it said before holds"
        if self.unreadable.get(found.name) == text:
            return
        if len(self.unreadable) < MOST_UNREADABLE:
            self.unreadable[found.name] = text
        _log.warning(
            "kubernetes: %(kind)s %(key)s: %(reason)s",
            {
                "event": "object-unreadable",
                "kind": self.query.kind,
                "key": found.name or "without a name",
                "reason": text,
            },
        )

    async def _watch(self, api: ApiClient) -> bool:
        """Follow until the watch ends; return whether anything was heard."""
        has_heard = is_open = has_bookmarks = False
        spread = random.uniform(1 - WATCH_SPREAD, 1 + WATCH_SPREAD)  # noqa: S311  # jitter
        events = api.watch(self.query, self._position.version, WATCH_TIME * spread)
        time = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(ANSWER_TIME) as silence, aclosing(events):
                async for verb, content in events:
                    if verb == OPEN:
                        is_open = True
                        self._open()
                    elif isinstance(content, Unreadable):
                        self._skip(content)
                    else:
                        has_heard, self._failures, self._refusals = True, 0, 0
                        self._take(verb, content)
                        has_bookmarks = has_bookmarks or verb == "BOOKMARK"
                    silence.reschedule(time() + SILENCE if has_bookmarks else None)
        except TimeoutError as error:
            text = f"no answer for {ANSWER_TIME:g} s"
            if is_open:
                text = f"nothing came for {SILENCE:.0f} s, not even a bookmark"
            raise TimeoutError(text) from error
        return has_heard

    def _take(self, verb: str, content: Object) -> None:
        name, version = name_of(content), version_of(content)
        if verb == "DELETED":
            self._known.pop(name, None)
            self.unreadable.pop(name[1], None)
            self._receiver.drop(self.query.kind, name)
        elif verb in ("ADDED", "MODIFIED"):
            _check_count(len(self._known))
            self._put(name, content)
        elif verb != "BOOKMARK":
            self._skip(Unreadable("", f"an event of the unknown type {verb[:64]!r}"))
            return
        if version:
            self._position.reached(version)
        if verb != "BOOKMARK":
            self._position.event_count += 1
            self._receiver.changed()

    def _open(self) -> None:
        self.is_followed = True
        self.fault.problem, self.fault.code = "", 0
        self._note("")

    def _fail(self, error: Exception) -> float:
        """Note a failure; return the seconds to wait at least."""
        self._failures += 1
        code = error.code if isinstance(error, ApiError) else 0
        position = self._position
        if code == EXPIRED and self._failures < RESUMES:
            position.version = ""  # an ordinary reason to list again
            return random.uniform(0, RELIST_SPREAD)  # noqa: S311  # jitter
        if self._is_refusal(error):
            self._refused(error)
        position.is_in_doubt = True
        if code == FORBIDDEN and not self.is_listed:
            self.fault.is_refused = True
        self.is_followed, self.fault.code = False, code
        self.fault.problem = text_of(error)
        self._note(f"{self.query}: {self.fault.problem}")
        wait = error.retry_after if isinstance(error, ApiError) else 0.0
        if code == NOT_FOUND and (self.fault.is_absent or position.is_lost):
            wait = max(wait, ABSENT_DELAY)
        return min(MAX_WAIT, wait)

    def _is_refusal(self, error: Exception) -> bool:
        """Return whether a server answers, and will not let us go on from our version.

        One that is away, or that does not even answer the question whether it knows the
        version, is no reason to list: when it is back, thousands of nodes would do so at once.
        """
        if not isinstance(error, ApiError):
            return False
        is_asked = self.query.reads_cache and self._position.is_in_doubt
        return error.is_too_new or (error.code not in BUSY and not is_asked)

    def _refused(self, error: Exception) -> None:
        self._refusals += 1
        if self._refusals % RESUMES:
            return
        self._position.version = ""  # the server may have lost versions, or know others
        if isinstance(error, ApiError) and error.is_too_new:
            self._position.forget()  # restored from a backup, or behind for long

    def _delay(self) -> float:
        longest = min(MAX_DELAY, FIRST_DELAY * 2 ** min(max(self._failures - 1, 0), 16))
        return random.uniform(longest / 2, longest)  # noqa: S311  # jitter


def version_of(content: Object) -> str:
    """Return an object's version; empty where it has none that can be taken."""
    metadata = content.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else ""
    is_version = isinstance(version, str) and len(version) <= MAX_VERSION
    return str(version) if is_version else ""


def _is_earlier(version: str, before: str) -> bool:
    """Return whether a version is of a time before another.

    Where versions are numbers, as all of etcd's are. It decides only whether what is gone is
    held; without numbers the answer is no.
    """
    are_numbers = version.isdecimal() and before.isdecimal()
    return are_numbers and int(version) < int(before)


def _check_count(count: int) -> None:
    if count > MOST_OBJECTS:
        raise ApiError(f"there are over {MOST_OBJECTS} objects")


def _is_chosen() -> bool:
    """Return whether one of many daemons lists a large collection now."""
    return random.random() < LIST_SHARE  # noqa: S311  # jitter


def name_of(content: Object) -> ObjectName:
    """Return an object's namespace and name; empty where it has none."""
    metadata = content.get("metadata")
    if not isinstance(metadata, dict):
        return "", ""
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
