"""Notifications of the kernel that are acted on a little while after the first that matters.

What changes in one moment, such as all addresses of a device, is one piece of news.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from fib.netlink.rtnetlink import Message
from fib.netlink.sockets import EventSocket

_RECEIVE_BUFFER: Final = 1 << 20  # octets; what is lost is known to be lost


class GatheredEvents:
    """A socket that follows some kinds of notifications, and the timer behind it.

    Args:
        groups: Kinds, as ``EventSocket`` names them.
        handle: Takes notifications; calls ``notify_soon`` for those that matter.
        handle_overflow: Called where some were lost.
        notify: Called ``seconds`` after the first ``notify_soon``.
        seconds: For what comes meanwhile.
        socket_filter: As ``EventSocket`` takes it.
    """

    def __init__(
        self,
        groups: Iterable[str],
        handle: Callable[[bytes, Iterable[Message]], None],
        handle_overflow: Callable[[], None],
        notify: Callable[[], object],
        seconds: float,
        *,
        socket_filter: bytes = b"",
    ) -> None:
        self._groups = tuple(groups)
        self._handle = handle
        self._handle_overflow = handle_overflow
        self._notify = notify
        self._seconds = seconds
        self._filter = socket_filter
        self._events: EventSocket | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether notifications are followed."""
        return self._events is not None

    def start(self, load: Callable[[], None]) -> None:
        """Begin to follow; from within the event loop.

        Args:
            load: Reads what there is, once nothing that changes is missed any more.

        Raises:
            FibError: The kernel cannot be listened to, or asked.
        """
        events = EventSocket(
            self._groups,
            self._handle,
            self._handle_overflow,
            socket_filter=self._filter,
            receive_buffer=_RECEIVE_BUFFER,
        )
        try:
            load()
        except BaseException:
            events.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._events = events
        events.start()

    def close(self) -> None:
        """Stop."""
        if self._events is not None:
            self._events.close()
            self._events = None
        if self._timer is not None:
            self._timer.cancel()

    def notify_soon(self) -> None:
        """Schedule the delivery of what is known by then, unless it is scheduled."""
        if self._timer is None and self._events is not None:
            self._timer = self._loop.call_later(self._seconds, self._tell_now)

    def _tell_now(self) -> None:
        self._timer = None
        self._notify()
