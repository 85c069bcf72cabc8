"""AF_NETLINK sockets: one that asks and waits, one that listens.

The kernel answers a rtnetlink request inside the send call, so asking needs no event
loop: a batch of some hundred routes is written and its errors are read in one go, as a rule
in 1 to 3 ms. Now and then, where the kernel rebuilds its trie and waits for all its
processors, it takes 150 ms; so batches are sent from a thread, one at a time, and the loop
goes on. Only notifications come by themselves; they are read by ``add_reader``, which works
on asyncio and on uvloop alike.
"""

import asyncio
import errno
import os
import socket
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fib.errors import FibError
from fib.netlink.rtnetlink import (
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    barrier,
    numbered,
    parse_error,
    split_messages,
)
from fib.routes import Fault

T = TypeVar("T")

_SOL_NETLINK = 270
_ADD_MEMBERSHIP, _CAP_ACK, _EXT_ACK, _STRICT_CHECK = 1, 10, 11, 12
_SO_ATTACH_FILTER, _SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 26, 32, 33

RECEIVE_BUFFER = 16 << 20  # octets: 20,000 notifications in a burst and more
_SEND_BUFFER = 1 << 20  # a batch is far below it
_SMALL_BUFFER = 1 << 16  # octets; of one answer
_READ_LEN = 1 << 16  # the kernel fills dumps up to 32 KiB
_READS_PER_WAKE = 64  # notifications read before others get the loop, about 1 ms
_ANSWER_TIMEOUT = 5  # seconds; an answer is there when send returns
_DUMP_ATTEMPTS = 5
_FEW = 16  # requests that are not worth the 0.1 ms of going through the thread

GROUPS = {"link": 1, "ipv4_address": 5, "ipv4_route": 7, "ipv6_address": 9}
GROUPS |= {"ipv6_route": 11, "next_hop": 32}


def _open(receive_buffer: int) -> socket.socket:
    try:
        sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0
        )
    except OSError as error:
        text = f"cannot open a netlink socket: {error.strerror}"
        raise FibError(text, error.errno or 0) from error
    for option in (_CAP_ACK, _EXT_ACK, _STRICT_CHECK):
        try:
            sock.setsockopt(_SOL_NETLINK, option, 1)
        except OSError as error:  # kernels before 4.20 lack the last one
            if error.errno != errno.ENOPROTOOPT:
                sock.close()
                raise
    for forced, usual, size in (
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF, receive_buffer),
        (_SO_SNDBUFFORCE, socket.SO_SNDBUF, _SEND_BUFFER),
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, size)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, usual, size)
    sock.bind((0, 0))
    return sock


class RequestSocket:
    """Asks the kernel and returns its answers.

    Attributes:
        port_id: By which notifications tell who caused a change.
    """

    def __init__(self) -> None:
        self._sock = _open(RECEIVE_BUFFER)
        self._sock.settimeout(_ANSWER_TIMEOUT)
        self.port_id: int = self._sock.getsockname()[0]
        self._sequence = 1
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fib")

    async def close(self) -> None:
        """Close the socket, when what was given to ``in_thread`` is done."""
        await self.drain()
        self._thread.shutdown()
        self._sock.close()

    async def drain(self) -> None:
        """Wait until the thread has done all that it was given."""
        await self.in_thread(lambda: None)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do what may take the kernel long; the caller does nothing else meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def next_sequence(self, count: int) -> int:
        """Return the first of ``count`` sequence numbers, and one for the barrier."""
        if self._sequence + count >= 0xFFFFFFF0:
            self._sequence = 1
        first = self._sequence
        self._sequence += count + 1
        return first

    def exchange(
        self, requests: bytes, first: int, count: int
    ) -> tuple[list[tuple[bytes, Message]], dict[int, Fault]]:
        """Send numbered requests; return answers, and errors by index.

        Args:
            requests: ``count`` messages numbered from ``first``.
            first: As ``next_sequence(count)`` gave it.
            count: How many.

        Raises:
            FibError: The kernel gave no complete answer; nothing is known of what it
                did, so compare with its table.
        """
        last = first + count
        answers: list[tuple[bytes, Message]] = []
        faults: dict[int, Fault] = {}
        try:
            self._sock.send(requests + barrier(last))
            while True:
                data = self._sock.recv(_READ_LEN)
                for item in split_messages(data):
                    if not first <= item.sequence <= last:
                        continue  # of an exchange that was given up
                    if item.type != NLMSG_ERROR:
                        answers.append((data, item))
                    elif item.sequence == last:
                        return answers, faults
                    else:
                        code, text = parse_error(data, item)
                        fault = Fault(code, text or os.strerror(code))
                        faults[item.sequence - first] = fault
        except OSError as error:
            text = f"netlink exchange failed: {error}"
            raise FibError(text, error.errno or 0) from error

    async def exchange_aside(
        self, requests: bytes, first: int, count: int
    ) -> dict[int, Fault]:
        """Do as ``exchange``, in the thread if it is much; return errors by index."""
        if count <= _FEW:
            return self.exchange(requests, first, count)[1]
        return await self.exchange_soon(requests, first, count)

    def exchange_soon(
        self, requests: bytes, first: int, count: int
    ) -> "asyncio.Future[dict[int, Fault]]":
        """Do as ``exchange`` in the thread, after what it was given before.

        Until all of that is done, nothing else may be asked.
        """
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(
            self._thread, lambda: self.exchange(requests, first, count)[1]
        )

    def ask(self, request: bytes) -> tuple[list[tuple[bytes, Message]], Fault | None]:
        """Send one request of ``fib.netlink.rtnetlink``; return answers and its error, if any."""
        first = self.next_sequence(1)
        answers, faults = self.exchange(numbered(request, first), first, 1)
        return answers, faults.get(0)


def dump(request: bytes) -> Iterator[tuple[bytes, list[Message]]]:
    """Yield a dump buffer by buffer, about 1 ms of work each.

    A socket of its own, so that an abandoned dump leaves nothing behind.

    Raises:
        FibError: The kernel refused or broke off; its number is in ``errno``.
    """
    sock = _open(RECEIVE_BUFFER)
    try:
        sock.settimeout(_ANSWER_TIMEOUT)
        sock.send(numbered(request, 1))
        is_interrupted = False
        while True:
            data = sock.recv(_READ_LEN)
            items: list[Message] = []
            for item in split_messages(data):
                is_interrupted |= bool(item.flags & NLM_F_DUMP_INTR)
                if item.type == NLMSG_DONE:
                    yield data, items
                    if is_interrupted:
                        raise FibError("dump was interrupted", errno.EINTR)
                    return
                if item.type == NLMSG_ERROR:
                    code, text = parse_error(data, item)
                    raise FibError(text or os.strerror(code), code)
                items.append(item)
            yield data, items
    except OSError as error:
        raise FibError(f"netlink dump failed: {error}", error.errno or 0) from error
    finally:
        sock.close()


def dump_small(request: bytes) -> list[tuple[bytes, Message]]:
    """Return a whole dump of few things: links, addresses, next-hop objects.

    Raises:
        FibError: As ``dump``, or it was interrupted by changes again and again.
    """
    for attempt in range(_DUMP_ATTEMPTS):
        try:
            return [(data, item) for data, items in dump(request) for item in items]
        except FibError as error:
            if error.errno != errno.EINTR or attempt == _DUMP_ATTEMPTS - 1:
                raise
    return []


def ask_once(request: bytes) -> list[tuple[bytes, Message]]:
    """Send one request that is not a dump, on a socket of its own; some 50 us.

    Raises:
        FibError: The kernel refused, or gave no answer.
    """
    sock = _open(_SMALL_BUFFER)
    try:
        sock.settimeout(_ANSWER_TIMEOUT)
        sock.send(numbered(request, 1))
        data = sock.recv(_READ_LEN)
    except OSError as error:
        raise FibError(f"netlink exchange failed: {error}", error.errno or 0) from error
    finally:
        sock.close()
    answers = []
    for item in split_messages(data):
        if item.type == NLMSG_ERROR:
            code, text = parse_error(data, item)
            raise FibError(text or os.strerror(code), code)
        answers.append((data, item))
    return answers


class EventSocket:
    """Listens to the kernel's notifications.

    Args:
        groups: Names out of ``GROUPS``.
        handle: Called with a buffer and its messages.
        handle_overflow: Called when the kernel dropped notifications (ENOBUFS).
        socket_filter: Classic BPF that drops unwanted notifications (``fib.netlink.rtnetlink``).
        receive_buffer: Octets of the kernel's queue for us.
    """

    def __init__(
        self,
        groups: Iterable[str],
        handle: Callable[[bytes, Iterable[Message]], None],
        handle_overflow: Callable[[], None],
        *,
        socket_filter: bytes = b"",
        receive_buffer: int = RECEIVE_BUFFER,
    ) -> None:
        self._handle = handle
        self._handle_overflow = handle_overflow
        self._sock = _open(receive_buffer)
        self._sock.setblocking(False)
        if socket_filter:
            octets = array("B", socket_filter)
            address, _ = octets.buffer_info()
            program = struct.pack("HP", len(socket_filter) // 8, address)
            self._sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        for group in groups:
            try:
                self._sock.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, GROUPS[group])
            except OSError as error:
                if group != "next_hop" or error.errno != errno.EINVAL:
                    raise  # only next-hop objects may be unknown: kernels before 5.3
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to deliver; notifications since the socket was opened come first."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock.fileno(), self._read)

    def close(self) -> None:
        """Stop and close."""
        if self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._loop = None
        self._sock.close()

    def _read(self) -> None:
        for _ in range(_READS_PER_WAKE):
            try:
                data = self._sock.recv(_READ_LEN)
            except BlockingIOError:
                return
            except InterruptedError:
                continue
            except OSError as error:
                self._handle_overflow()
                if error.errno != errno.ENOBUFS:
                    return  # not asked again before the loop has had its turn
                continue
            try:
                self._handle(data, split_messages(data))
            except Exception as error:  # noqa: BLE001  # of one buffer, not of all
                self._report(error)

    def _report(self, error: Exception) -> None:
        """A buffer's notifications are lost: its reader compares the whole table instead."""
        if self._loop is not None:
            message = "the kernel's notifications were not understood"
            self._loop.call_exception_handler({"message": message, "exception": error})
        self._handle_overflow()
