"""Any datastore of one node's affinities, completed with the owners of their blocks.

A node follows its own affinities alone: those of all others would go to every node, and an
IPAM block changes with each pod. So it reads the owners of its blocks when its affinities change,
at every snapshot, and now and then; where a block is in doubt, the affinities of the other
nodes for it are read too, and it is read again sooner, then less and less often. What was
read becomes part of the stream of events, so the consumer does not see the difference.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from random import Random
from typing import Final, Protocol

from bgpd.calico.blocks import AffinityError, Block, parse_block, parse_state
from bgpd.calico.claims import AffinityState, AssignmentError, parse_assignment
from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.keys import (
    IPAM_HOST,
    assignment_key,
    split_affinity_key,
)
from bgpd.datastore.model import DatastoreError

AUDIT: Final = 300.0  # seconds between reads of undisputed blocks
DOUBT: Final = 15.0  # seconds to the next read of one in doubt; doubled up to AUDIT
_JITTER: Final = 0.2  # of each, so that nodes that start together do not look so
READ_WAIT: Final = 5.0  # seconds that an event waits for what is read beside it
MOST: Final = 1024  # own blocks to read; the rest counts as undisputed

_log = logging.getLogger(__name__)

Items = dict[str, bytes]


class Reader(Protocol):
    """Reads what is not followed."""

    async def read(self, keys: Collection[str]) -> Mapping[str, bytes]:
        """Return the values of some keys, as far as they exist.

        Raises:
            DatastoreError: No member answers.
        """

    async def read_below(self, prefix: str) -> Mapping[str, bytes]:
        """Return all that is below a prefix.

        Raises:
            DatastoreError: As ``read``.
        """


class ClaimedBlocks:
    """Adds to a node's stream of events what decides about its blocks.

    Args:
        reader: Where that is read.
        node: The own node.
        sees_all: The stream has the affinities of all nodes.
        audit: Seconds between looks.
        doubt: The same while a block is in doubt, at first.

    Attributes:
        look_count: How often was looked.
    """

    def __init__(
        self,
        reader: Reader,
        node: str,
        *,
        sees_all: bool = False,
        audit: float = AUDIT,
        doubt: float = DOUBT,
    ) -> None:
        self.look_count = 0
        self._sees_all = sees_all
        self._reader = reader
        self._node = node
        self._prefix = f"{IPAM_HOST}{node}/"
        self._audit, self._doubt = audit, doubt
        self._own: Items = {}
        self._found: Items = {}
        self._is_previous_unknown = False
        self._rest = audit
        self._share = 1.0 - Random(node).uniform(0.0, _JITTER)  # noqa: S311  # no secret
        self._fault = ""

    async def events(
        self, source: AsyncGenerator[DatastoreEvent, None]
    ) -> AsyncGenerator[DatastoreEvent, None]:
        """Yield the source's events, with what was read beside them."""
        time = asyncio.get_running_loop().time
        revision, looked = 0, time()
        async with aclosing(source):
            coming: asyncio.Task[DatastoreEvent] | None = None
            try:
                while True:
                    coming = coming or asyncio.ensure_future(anext(source))
                    until = looked + self._rest * self._share
                    await asyncio.wait((coming,), timeout=until - time())
                    if time() >= until:  # however many events there are
                        looked = time()
                        puts, gone = await self._look()
                        if puts or gone:
                            yield Changes(revision, puts, gone)
                    if not coming.done():
                        continue
                    try:
                        event = coming.result()
                    except StopAsyncIteration:
                        return
                    coming, revision = None, event.revision
                    yield await self._with_claims(event)
            finally:
                if coming is not None:
                    coming.cancel()
                    await asyncio.gather(coming, return_exceptions=True)

    async def _with_claims(self, event: DatastoreEvent) -> DatastoreEvent:
        before = dict(self._own)
        if isinstance(event, Snapshot):
            self._own = {k: v for k, v in event.items.items() if self._is_own(k)}
            await self._look()
            return Snapshot(event.revision, {**self._found, **event.items})
        for key in event.deletes:
            self._own.pop(key, None)
        self._own.update((k, v) for k, v in event.puts.items() if self._is_own(k))
        if self._own == before:
            return event
        puts, gone = await self._look()
        return Changes(event.revision, {**puts, **event.puts}, event.deletes | gone)

    def _is_own(self, key: str) -> bool:
        return key.startswith(self._prefix) and "/block/" in key

    async def _look(self) -> tuple[Items, frozenset[str]]:
        """Read again; return what is new or another, and the keys that are gone."""
        before, was_previous_unknown = self._found, self._is_previous_unknown
        puts, gone = await self._read_again(before)
        rest = self._audit
        if self._is_previous_unknown:
            has_changed = puts or gone or not was_previous_unknown
            rest = self._doubt if has_changed else min(2 * self._rest, self._audit)
        self._rest = rest
        return puts, gone

    async def _read_again(self, before: Items) -> tuple[Items, frozenset[str]]:
        self.look_count += 1
        try:
            async with asyncio.timeout(READ_WAIT):
                self._found = await self._read()
        except (DatastoreError, TimeoutError) as error:
            fault = str(error) or "timed out"
            if fault != self._fault:
                _log.warning(
                    "the owners of the node's blocks cannot be read: %(reason)s",
                    {
                        "event": "block-owners-unknown",
                        "reason": fault,
                        "node": self._node,
                    },
                )
            self._fault, self._is_previous_unknown = fault, True  # try again soon
            return {}, frozenset()
        self._fault = ""
        puts = {k: v for k, v in self._found.items() if before.get(k) != v}
        return puts, frozenset(before.keys() - self._found.keys())

    async def _read(self) -> Items:
        own = dict(list(self._blocks().items())[:MOST])
        found: Items = {}
        if own:
            keys = [assignment_key(str(block)) for block in own]
            for key, value in (await self._reader.read(keys)).items():
                found[key] = _whose(value)
        doubtful = {
            str(block).replace("/", "-")
            for block, state in own.items()
            if self._is_doubtful(state, found.get(assignment_key(str(block))))
        }
        if doubtful and not self._sees_all:
            for key, value in (await self._reader.read_below(IPAM_HOST)).items():
                # Tens of thousands at once: what is cheapest to ask comes first.
                if key.rpartition("/")[2] in doubtful and not self._is_own(key):
                    found[key] = value
        self._is_previous_unknown = bool(doubtful)
        return found

    def _blocks(self) -> dict[Block, AffinityState]:
        """Return the own blocks that are held, or given up."""
        held: dict[Block, AffinityState] = {}
        for key, value in self._own.items():
            block = _block_of(key)
            try:
                state = parse_state(value)
            except AffinityError:
                continue  # it is reported elsewhere
            if block and state not in (None, AffinityState.PENDING):
                held[block] = state
        return held

    def _is_doubtful(self, state: AffinityState, value: bytes | None) -> bool:
        """Return whether others may have a claim as good as the own one."""
        if value is None or state is AffinityState.PENDING_DELETION:
            return True
        try:
            assignment = parse_assignment(value)
        except AssignmentError:
            return True
        return assignment.node != self._node


def _whose(value: bytes) -> bytes:
    """Return an IPAM block without its workloads, which come and go."""
    try:
        assignment = parse_assignment(value)
    except AssignmentError:
        return value  # the consumer reports it
    if not assignment.is_decided:
        return b"{}"
    affinity = f"host:{assignment.node}" if assignment.node else "virtual"
    return json.dumps({"affinity": affinity}).encode()


def _block_of(key: str) -> Block | None:
    """Return the block of an affinity's key; ``None`` for other keys."""
    parts = split_affinity_key(key)
    try:
        return None if parts is None else parse_block(parts.cidr)
    except AffinityError:
        return None
