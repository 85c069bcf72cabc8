"""Operations on routes -> the kernel, a batch at a time, and its errors back to their routes.

A batch has one barrier behind it and no acknowledgement for each message: an error carries the
number of its message, and a message without one by the time the barrier is answered is done.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence

from fib.netlink.route_batch import encode_alike, encode_operations
from fib.netlink.sockets import RequestSocket
from fib.plan import CREATE, Entry, Operation, RouteTable
from fib.routes import Fault

Suspicion = Callable[[Sequence[Operation], Mapping[int, Fault]], None]


class RouteWriter:
    """Writes the routes of one family.

    Args:
        sock: Where to write.
        afi: The family's.
        routes: Learns what the kernel refused.
        suspect: Each looks at refused operations, by index, after that.

    Attributes:
        written_count: Messages sent.
        is_sending: A batch is on its way; the kernel may not have it all yet.
    """

    def __init__(
        self,
        sock: RequestSocket,
        afi: int,
        routes: RouteTable,
        suspect: Sequence[Suspicion],
    ) -> None:
        self._sock = sock
        self._afi = afi
        self._routes = routes
        self._suspect = suspect
        self._created: list[tuple[Sequence[bytes], Entry]] = []
        self._answers: list[asyncio.Future[dict[int, Fault]]] = []
        self._is_ahead = len(os.sched_getaffinity(0)) > 1
        self.written_count = 0
        self.is_sending = False

    async def create(self, nlris: Sequence[bytes], entry: Entry) -> None:
        """Create routes that lead to one entry, which is ready; ``finish`` must follow.

        Where there is a second processor it returns while the kernel is at it, so that more
        can be prepared meanwhile, but waits for those of the call before. On a single one
        the kernel would take the processor from the loop all the time.

        Args:
            nlris: None that is among those of a ``create`` since ``finish``.
            entry: Theirs.
        """
        if not nlris:
            return
        count = len(nlris)
        first = self._sock.next_sequence(count)
        requests = encode_alike(CREATE, nlris, entry, self._afi, first)
        self.is_sending = True
        answer = self._sock.exchange_soon(requests, first, count)
        self._answers.append(answer)
        self._created.append((nlris, entry))
        awaited = self._answers[-2:-1] if self._is_ahead else [answer]
        if awaited:
            await asyncio.wait(awaited)

    async def finish(self) -> None:
        """Wait for what was created, and deal with what the kernel refused of it.

        Raises:
            FibError: The kernel's answer is unknown; audit.
        """
        if not self._answers:
            return
        created, self._created = self._created, []
        answers, self._answers = self._answers, []
        try:
            # All of them, whatever fails: nothing may be asked before.
            await asyncio.gather(*answers, return_exceptions=True)
        finally:
            self.is_sending = False
        all_faults = [answer.result() for answer in answers]
        for (nlris, entry), faults in zip(created, all_faults, strict=True):
            self.written_count += len(nlris)
            if faults:
                operations = [(CREATE, nlri, entry) for nlri in nlris]
                await self._settle(operations, faults, is_retry=False)

    async def write(
        self, operations: Sequence[Operation], *, is_retry: bool = False
    ) -> None:
        """Carry out operations, and what has to follow where the kernel refuses them.

        Args:
            operations: Their entries are ready.
            is_retry: They follow a refusal.

        Raises:
            FibError: The kernel's answer is unknown; audit.
        """
        if not operations:
            return
        count = len(operations)
        first = self._sock.next_sequence(count)
        requests = encode_operations(operations, self._afi, first)
        faults = await self._exchange(requests, first, count)
        if faults:
            await self._settle(operations, faults, is_retry=is_retry)

    async def _exchange(
        self, requests: bytes, first: int, count: int
    ) -> Mapping[int, Fault]:
        self.is_sending = True
        try:
            faults = await self._sock.exchange_aside(requests, first, count)
        finally:
            self.is_sending = False
        self.written_count += count
        return faults

    async def _settle(
        self,
        operations: Sequence[Operation],
        faults: Mapping[int, Fault],
        *,
        is_retry: bool,
    ) -> None:
        follow_up = self._routes.settle(operations, faults, is_retry=is_retry)
        for look in self._suspect:
            look(operations, faults)
        await self.write(follow_up, is_retry=True)
