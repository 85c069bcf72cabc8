"""Where the daemon listens; a port that is another program's is tried again and again.

A node whose BIRD is still there, or whose address has not come up yet, gets its port as
soon as it is free: sessions that peers open would be missing for ever otherwise.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from bgpd.net.listener import Listener
from bgpd.net.sockets import SocketError, is_own_address
from bgpd.texts.errors import text_of

RETRY: Final = 2.0  # seconds

_UNASSIGNED: Final = (
    "listening on %(local_address)s port %(port)d, but no interface has "
    "%(local_address)s yet"
)

_log = logging.getLogger(__name__)


class ListenRetry:
    """Keeps a listener where it should listen.

    Args:
        listener: Which.

    Attributes:
        faults: What keeps it from listening where it should, for the operator.
    """

    def __init__(self, listener: Listener) -> None:
        self.faults: list[str] = []
        self._listener = listener
        self._wanted: list[tuple[str, int]] = []
        self._retry: asyncio.TimerHandle | None = None

    def follow(self, addresses: Iterable[str], port: int) -> None:
        """Listen there and nowhere else; retry later what is unavailable now."""
        self.close()
        self._wanted = [(address, port) for address in addresses]
        for place in set(self._listener.addresses) - set(self._wanted):
            self._listener.ignore(*place)
        self._try()
        for address, number in self._unassigned():
            _log.warning(
                _UNASSIGNED,
                {"event": "address-missing", "local_address": address, "port": number},
            )

    def missing(self) -> list[str]:
        """Return warnings about addresses that no interface has; no peer can connect there."""
        return [
            _UNASSIGNED % {"local_address": address, "port": port}
            for address, port in self._unassigned()
        ]

    def _unassigned(self) -> list[tuple[str, int]]:
        return [
            place for place in self._listener.addresses if not is_own_address(place[0])
        ]

    def close(self) -> None:
        """Stop trying."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _try(self) -> None:
        self._retry = None
        known, self.faults = self.faults, []
        for place in self._wanted:
            try:
                self._listener.listen(*place)
            except SocketError as error:
                self._note(place, str(error.strerror), known)
            except Exception as error:  # noqa: BLE001  # the other addresses come up
                text = text_of(error)
                text = f"cannot listen on {place[0]} port {place[1]}: {text}"
                self._note(place, text, known)
        if self.faults:
            loop = asyncio.get_running_loop()
            self._retry = loop.call_later(RETRY, self._try)

    def _note(self, place: tuple[str, int], text: str, known: list[str]) -> None:
        self.faults.append(text)
        if text not in known:
            _log.error(
                "%(reason)s",  # the text says it all
                {
                    "event": "listen-failed",
                    "reason": text,
                    "local_address": place[0],
                    "port": place[1],
                },
            )
