"""The network under BGP's connections: this kernel's TCP, or another that behaves the same.

``bgpd.net`` makes all its sockets through a ``Network``, which a speaker is given. The daemon's
is ``KERNEL``. Tests give it one that lives in memory, on a clock that jumps, so that two whole
speakers run for hours in milliseconds (docs/testing.md).
"""

import socket
from collections.abc import Sequence
from select import epoll, poll
from typing import Any, Final, Protocol, Self, overload


class Socket(Protocol):
    """A TCP socket that does not block: the calls of ``socket.socket`` that BGP needs.

    Each raises ``OSError`` as the kernel does: ``BlockingIOError`` where it would have to wait.
    """

    @property
    def family(self) -> int:
        """``AF_INET`` or ``AF_INET6``."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(self, *_: object) -> None:
        """Close it."""

    def fileno(self) -> int:
        """Return its descriptor; -1 once it is closed."""

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001  # as the standard library's
        """Set whether calls may block."""

    def setsockopt(self, level: int, name: int, value: int | bytes, /) -> None:
        """Set an option."""

    @overload
    def getsockopt(self, level: int, name: int, /) -> int: ...

    @overload
    def getsockopt(self, level: int, name: int, size: int, /) -> bytes: ...

    def bind(self, address: Any, /) -> None:  # noqa: ANN401  # a family's own form
        """Choose the local address."""

    def listen(self, backlog: int, /) -> None:
        """Let others connect."""

    def accept(self) -> "tuple[Socket, Any]":
        """Return the next connection and its remote address."""

    def connect_ex(self, address: Any, /) -> int:  # noqa: ANN401  # as ``bind``
        """Begin to connect; return an error's number, ``EINPROGRESS`` most of the time."""

    def getsockname(self) -> Any:  # noqa: ANN401  # as ``bind``
        """Return the local address."""

    def getpeername(self) -> Any:  # noqa: ANN401  # as ``bind``
        """Return the far end's address."""

    def recv(self, size: int, /) -> bytes:
        """Return octets that have arrived; none at the end of the stream."""

    def send(self, octets: bytes, /) -> int:
        """Send what there is room for; return how many octets that was."""

    def sendmsg(self, buffers: "Sequence[bytes | memoryview]", /) -> int:
        """Send what there is room for of several buffers."""

    def close(self) -> None:
        """Close it; what was sent still leaves."""


class Readiness(Protocol):
    """Tells which sockets are ready; level-triggered, as epoll(7)."""

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""

    def fileno(self) -> int:
        """Return a descriptor that is readable while one of the sockets is ready."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Watch a descriptor."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Change the events to watch for."""

    def unregister(self, fd: int, /) -> None:
        """Stop watching."""

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        """Return descriptors that are ready, and for what."""

    def close(self) -> None:
        """Watch nothing any more."""


class Network(Protocol):
    """Makes sockets."""

    def socket(self, family: int) -> Socket:
        """Return a new TCP socket of ``AF_INET`` or ``AF_INET6``."""

    def readiness(self) -> Readiness:
        """Return what watches sockets of this network."""

    def has_events(self, descriptor: int, events: int) -> bool:
        """Return whether an open socket is ready, for ``POLLIN`` or ``POLLOUT``.

        The end of a connection is something to read; an error is ready for both.
        """


class Kernel:
    """The TCP of this machine."""

    def socket(self, family: int) -> Socket:
        """See ``Network``."""
        return socket.socket(family, socket.SOCK_STREAM)

    def readiness(self) -> Readiness:
        """See ``Network``."""
        return epoll()

    def has_events(self, descriptor: int, events: int) -> bool:
        """See ``Network``."""
        asked = poll()
        asked.register(descriptor, events)
        return bool(asked.poll(0))


KERNEL: Final = Kernel()
