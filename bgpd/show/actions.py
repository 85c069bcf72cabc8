"""Actions of control commands."""

from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Final, Protocol

from bgpd.api.protocol import ControlError
from bgpd.session.fsm import State
from bgpd.show.state import ResetKind
from bgpd.speaker.peer import Peer
from bgpd.speaker.speaker import Speaker
from bgpd.wire.errors import CeaseSubcode

GRACE: Final = 0.1  # seconds for the answer to reach the client


class ShutDown(Protocol):
    """Ends the daemon (``Daemon.shut_down``)."""

    def __call__(self, *, flushes: bool, text: str) -> None:
        """Stop it soon, after the answer to the client."""


class Reload(Protocol):
    """Reads the configuration again (``Daemon.reload_or_raise``)."""

    def __call__(self, *, allows_resets: bool) -> Awaitable[Iterable[str]]:
        """Reload, and return what was done."""


class DaemonActions:
    """Implements ``state.Actions`` on a speaker.

    Args:
        speaker: Whose peers are meant.
        reload: Reads the configuration again; returns what was done.
        shut_down: Ends the daemon.
    """

    def __init__(
        self,
        speaker: Speaker,
        reload: Reload,
        shut_down: ShutDown,
    ) -> None:
        self._speaker = speaker
        self._reload = reload
        self._shut_down = shut_down

    def reset(self, address: str, kind: ResetKind) -> Iterable[str]:
        """Reset a peer, or only one direction of its routes."""
        peer = self._speaker.peers[address]
        self._check_shut(peer)
        if peer.state is not State.ESTABLISHED:
            if kind in (ResetKind.SOFT_IN, ResetKind.SOFT_OUT):
                raise ControlError(
                    "not-established", f"{peer.settings.name} has no session"
                )
            # An idle peer may be waiting out its back-off: this is the way to end it.
            self._restart(peer, is_hard=False)
            return (f"{peer.settings.name}: a new attempt starts now",)
        return self._reset_established(peer, kind)

    def _reset_established(self, peer: Peer, kind: ResetKind) -> Iterable[str]:
        name = peer.settings.name
        match kind:
            case ResetKind.SOFT_IN:
                peer.imports.reimport()
                asked = peer.ask_refresh(peer.ribs_in)
                text = (
                    "evaluated again, and a refresh was requested"
                    if asked
                    else "evaluated again"
                )
                return (f"{name}: its routes are {text}",)
            case ResetKind.SOFT_OUT:
                for family in peer.ribs_in:
                    self._speaker.tables[family].refresh(peer.sources[family])
                return (f"{name}: our routes are advertised again",)
            case ResetKind.SESSION | ResetKind.HARD:
                self._restart(peer, is_hard=kind is ResetKind.HARD)
                return (f"{name}: the session is reset",)

    def _restart(self, peer: Peer, *, is_hard: bool) -> None:
        peer.is_held = True
        peer.driver.stop(
            subcode=CeaseSubcode.ADMINISTRATIVE_RESET, text="", hard=is_hard
        )
        peer.enable()

    async def reload(self, *, allows_resets: bool = False) -> Iterable[str]:
        """Read the configuration again."""
        return await self._reload(allows_resets=allows_resets)

    def disable(self, address: str, text: str) -> Iterable[str]:
        """Disable a peer until ``enable``."""
        peer = self._speaker.peers[address]
        peer.is_held = True
        peer.driver.stop(
            subcode=CeaseSubcode.ADMINISTRATIVE_SHUTDOWN, text=text, hard=True
        )
        return (f"{peer.settings.name}: shut down",)

    def enable(self, address: str) -> Iterable[str]:
        """Enable a peer again."""
        peer = self._speaker.peers[address]
        self._check_shut(peer)
        if peer.driver.session.is_started:
            return (f"{peer.settings.name}: is enabled already",)
        peer.enable()
        return (f"{peer.settings.name}: enabled",)

    def _check_shut(self, peer: Peer) -> None:
        if self._speaker.context.drains.is_shut(peer.settings.remote_addr):
            name = peer.settings.name
            raise ControlError(
                "drained",
                f"{name} was drained and shut down: use undrain",
                ("undrain",),
            )

    def shut_down(self, text: str, *, flushes: bool) -> Iterable[str]:
        """Stop the daemon for good: peers drop our routes."""
        count = sum(
            peer.state is State.ESTABLISHED for peer in self._speaker.peers.values()
        )
        self._speaker.loop.call_later(
            GRACE, partial(self._shut_down, flushes=flushes, text=text)
        )
        left = "are removed" if flushes else "stay"
        return (f"shutting down: {count} sessions end, kernel routes {left}",)
