"""Notifications to systemd from the process that it started (sd_notify(3)): ready, stopping, alive.

A datagram of ``KEY=VALUE`` lines goes to the unix socket that ``NOTIFY_SOCKET`` names.
Nothing is sent where the variable is not set, and a manager that does not listen never
holds up the daemon.
"""

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final, Self

MICROSECONDS: Final = 1_000_000


class ServiceManager:
    """The manager that started this process, if it wants notifications.

    Args:
        address: Of its socket; a leading ``@`` is Linux' abstract namespace, empty is no
            manager.
        watchdog: Seconds after which it takes a silent process for dead; 0 is never.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self.watchdog = watchdog
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> Self:
        """Return the manager that ``environment`` tells of.

        A watchdog meant for another process (``WATCHDOG_PID``) is not ours to feed, and a
        value that is not a number counts as none.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        usec = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        watchdog = int(usec) / MICROSECONDS if is_ours and usec.isdecimal() else 0.0
        return cls(address, watchdog)

    @property
    def is_there(self) -> bool:
        """Whether a manager wants notifications."""
        return bool(self._address)

    def tell(self, **values: object) -> None:
        """Send one message, such as ``READY=1``; a manager that is gone is ignored."""
        if not self._address:
            return
        text = "\n".join(f"{key}={value}" for key, value in values.items())
        with contextlib.suppress(OSError):
            if self._socket is None:
                kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
                self._socket = socket.socket(socket.AF_UNIX, kind)
            self._socket.sendto(text.encode(), self._address)

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def of_this_process() -> ServiceManager:
    """Return the manager of this process.

    Its variables leave the environment: no child must speak for us.
    """
    manager = ServiceManager.of(os.environ, os.getpid())
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        os.environ.pop(name, None)
    return manager
