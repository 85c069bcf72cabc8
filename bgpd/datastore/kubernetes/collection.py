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
from bgpd.datastore.kubernetes.client import (
    ANSWER_TIME,
    EXPIRED,
    NOT_FOUND,
    OPEN,
    ApiClient,
    Object,
)
from bgpd.datastore.kubernetes.errors import ApiError
from bgpd.datastore.kubernetes.query import Query

# Theory
# ------
#        +---- list <---- version unknown: at first, after 410, a state that went back
#        v                                                             ^
#      watch --ends in time--> watch from the last version             |
#        |                                                             |
#        '--breaks--> wait, then ask whether the server knows our version
#
# Versions are opaque text: they are compared for equality, never for order. So "never back in
# time" is left to the server: each request names the oldest state that is taken
# (`resourceVersionMatch=NotOlderThan`). A server that is behind says so, and is asked again;
# one that was restored from a backup says the same for ever, and after some tries its state
# is taken as it is, read from etcd.
#
# A watch from a version that a server does not know yet is silent, and after a restored
# backup it would hide every change. That is why a watch that broke off is followed by a
# question (`ApiClient.knows`), which costs the server one object.
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

_log = logging.getLogger(__name__)

Connect = Callable[[], AbstractAsyncContextManager[ApiClient]]


class Receiver(Protocol):
    """Who takes objects as they come."""

    def put(self, kind: str, name: ObjectName, content: Object) -> None:
        """Take a new or changed object."""

    def drop(self, kind: str, name: ObjectName) -> None:
        """An object is gone."""

    def changed(self) -> None:
        """Act on new events about objects."""


class _Position:
    """How far a collection was followed.

    Attributes:
        version: To go on from; empty where a list is needed.
        newest: That was seen; no older state is taken.
        is_in_doubt: Whether the server still knows it.
        event_count: Events about objects that have come.
    """

    __slots__ = ("event_count", "is_in_doubt", "newest", "version")

    def __init__(self) -> None:
        self.version = ""
        self.newest = ""
        self.is_in_doubt = False
        self.event_count = 0

    def reached(self, version: str) -> None:
        """A list or an event had this version."""
        self.version = self.newest = version


class Collection:
    """Follows one collection.

    Args:
        query: Which.
        connect: Opens a client for as long as nothing fails.
        receiver: Takes what there is.
        note: Called after each list with nothing, after each failure with its text.

    Attributes:
        is_listed: It was read whole once.
        is_absent: The API has no such kind, and never had since the start.
        is_followed: A watch was accepted, and nothing went wrong since.
        error: Why it is not followed; empty before the first failure and while it is.
    """

    def __init__(
        self,
        query: Query,
        connect: Connect,
        receiver: Receiver,
        note: Callable[[str], None],
    ) -> None:
        self.is_listed = False
        self.is_absent = False
        self.is_followed = False
        self.error = ""
        self.query = query
        self._connect = connect
        self._receiver = receiver
        self._note = note
        self._known: set[ObjectName] = set()
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
            if error.code == NOT_FOUND and not self.is_listed:
                self.is_absent = await api.lacks(self.query)
            raise

    async def _follow_once(self, api: ApiClient) -> None:
        if (
            self._position.is_in_doubt
            and self.query.reads_cache
            and self._position.version
        ):
            if not await api.knows(self.query, self._position.version):
                raise ApiError(
                    "the server does not know a version yet that it has sent",
                    is_too_new=True,
                )
            self._position.is_in_doubt = False
        if not self._position.version:
            await self._list(api)
        loop = asyncio.get_running_loop()
        start = loop.time()
        has_heard = await self._watch(api)
        is_short = loop.time() - start < MAX_DELAY
        self._failures = self._failures + 1 if is_short and not has_heard else 0
        await asyncio.sleep(self._delay())

    async def _list(self, api: ApiClient) -> None:
        kind, found, version = self.query.kind, set[ObjectName](), ""
        if self.query.reads_cache:
            listing = api.cached(self.query, self._position.newest or "0")
        else:
            listing = api.pieces(self.query)
        async with aclosing(listing) as pieces:
            async for piece in pieces:
                version = piece.version
                for content in piece.objects:
                    name = name_of(content)
                    found.add(name)
                    self._known.add(name)
                    self._receiver.put(kind, name, content)
        for name in self._known - found:
            self._receiver.drop(kind, name)
        self._known = found
        self._position.reached(version)
        self._position.is_in_doubt = False
        self.is_listed, self.is_absent = True, False
        self._receiver.changed()
        self._note("")

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
        name = name_of(content)
        if verb == "DELETED":
            self._known.discard(name)
            self._receiver.drop(self.query.kind, name)
        elif verb in ("ADDED", "MODIFIED"):
            self._known.add(name)
            self._receiver.put(self.query.kind, name, content)
        metadata = content.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else ""
        if isinstance(version, str) and version:
            self._position.reached(version)
        if verb != "BOOKMARK":
            self._position.event_count += 1
            self._receiver.changed()

    def _open(self) -> None:
        if self.error:
            _log.info(
                "kubernetes: watching %(kind)s again",
                {"event": "watch-restored", "kind": self.query},
            )
        self.is_followed, self.error = True, ""

    def _fail(self, error: Exception) -> float:
        """Note a failure; return the seconds to wait at least."""
        self._failures += 1
        code = error.code if isinstance(error, ApiError) else 0
        if code == EXPIRED:
            self._position.version = ""  # an ordinary reason to list again
            return random.uniform(0, RELIST_SPREAD)  # noqa: S311  # jitter
        if self._is_refusal(error):
            self._refused(error)
        self._position.is_in_doubt = True
        reason = str(error) or type(error).__name__
        text = f"{self.query}: {reason}"
        if text != self.error:
            _log.warning(
                "kubernetes: %(kind)s: %(reason)s; what was read stays in force"
                if self.is_listed
                else "kubernetes: %(kind)s: %(reason)s",
                {"event": "watch-failed", "kind": self.query, "reason": reason},
            )
        self.is_followed, self.error = False, text
        self._note(text)
        wait = error.retry_after if isinstance(error, ApiError) else 0.0
        if code == NOT_FOUND and self.is_absent:
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
            self._position.newest = ""  # restored from a backup: etcd itself is asked

    def _delay(self) -> float:
        longest = min(MAX_DELAY, FIRST_DELAY * 2 ** min(max(self._failures - 1, 0), 16))
        return random.uniform(longest / 2, longest)  # noqa: S311  # jitter


def name_of(content: Object) -> ObjectName:
    """Return an object's namespace and name; empty where it has none."""
    metadata = content.get("metadata")
    if not isinstance(metadata, dict):
        return "", ""
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
