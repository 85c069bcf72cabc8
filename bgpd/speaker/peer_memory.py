"""Keeps the file that tells the next run which peers were up (``bgpd.speaker.remembered_peers``).

It stands beside the control socket. A session that comes or goes changes one line in memory;
the file follows within a second, written by a thread, since a disk may be slow. In between
its time stamp is renewed, so that after a crash it is known until when it was true.
"""

import asyncio
import contextlib
import logging
import os
from functools import partial
from pathlib import Path
from typing import Final

from bgpd.session.gr_helper import kept_when_lost
from bgpd.speaker.peer import Peer
from bgpd.speaker.remembered_peers import (
    MAX_MEMBERS,
    RememberedPeer,
    RememberedPeers,
    encode_head,
    encode_member,
)
from bgpd.speaker.session_observers import SessionObserver
from bgpd.speaker.speaker import Speaker
from bgpd.texts.state_files import make_folder, write_file

DELAY: Final = 1.0  # seconds from a change to the file
BEAT: Final = 5.0  # seconds between time stamps while nothing changes
_MODE: Final = 0o600  # our list of peers is private

_log = logging.getLogger(__name__)


class PeerMemory(SessionObserver):
    """Records which peers are up, from now on.

    Args:
        speaker: Whose peers they are.
        path: Of the file; ``None`` writes nothing.
        kept: Lines of an earlier run that hold until those peers are back, or the time
            for which they keep our routes is over.
    """

    def __init__(
        self, speaker: Speaker, path: Path | None, kept: RememberedPeers | None = None
    ) -> None:
        self._speaker = speaker
        self._path = path
        self._lines: dict[str, str] = {}
        self._gone: dict[str, float] = {}  # away -> on the loop's clock, when to forget
        self._has_changed = True
        self._writing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stamped_at = 0.0
        self._fault = ""
        if path is None:
            return
        for member in kept.members.values() if kept is not None else ():
            self._lines[member.address] = encode_member(member)
            left = member.seconds - (kept.age if kept is not None else 0.0)
            self._gone[member.address] = speaker.loop.time() + left
        for peer in speaker.peers.values():
            if peer.negotiated is not None:
                self.session_changed(peer)
        speaker.observers.attach(self)
        self._timer = speaker.loop.call_later(DELAY, self._turn)

    def session_changed(self, peer: Peer) -> None:
        """A session of ``peer`` came up or went down."""
        address, negotiated = peer.settings.remote_addr, peer.negotiated
        if negotiated is None:
            # It may be back, and others keep what it told.
            if peer.stale_family_count and address in self._lines:
                seconds = peer.settings.graceful_restart_time
                self._gone[address] = self._speaker.loop.time() + seconds
            else:
                self._gone.pop(address, None)
                self._has_changed |= self._lines.pop(address, None) is not None
            return
        self._gone.pop(address, None)
        if len(self._lines) >= MAX_MEMBERS - 1 and address not in self._lines:
            return
        families, graceful = (
            kept_when_lost(negotiated),
            negotiated.local.graceful_restart,
        )
        member = RememberedPeer(
            address,
            peer.range_name,
            peer.driver.session.local_addr,
            negotiated.local_as,
            negotiated.peer_as,
            families,
            graceful.restart_time if graceful is not None and families else 0,
        )
        self._lines[address] = encode_member(member)
        self._has_changed = True

    def _turn(self) -> None:
        loop = self._speaker.loop
        self._timer = loop.call_later(DELAY, self._turn)
        now = loop.time()
        for address in [who for who, until in self._gone.items() if until <= now]:
            del self._gone[address]
            self._has_changed |= self._lines.pop(address, None) is not None
        if self._writing is not None or self._path is None:
            return  # the disk is slow: what has changed waits
        if self._has_changed:
            self._begin(partial(_write, self._path, self._octets()))
        elif now - self._stamped_at >= BEAT:
            self._begin(partial(_stamp, self._path))

    def _octets(self) -> bytes:
        self._has_changed = False
        head = encode_head(self._speaker.listener.addresses)
        return "\n".join((head, *self._lines.values())).encode()

    def _begin(self, work: "partial[None]") -> None:
        loop = self._speaker.loop
        self._stamped_at = loop.time()
        self._writing = loop.run_in_executor(None, work)
        self._writing.add_done_callback(self._done)

    def _done(self, writing: "asyncio.Future[None]") -> None:
        self._writing = None
        if not writing.cancelled():
            self._tell(writing.exception())

    def _tell(self, error: BaseException | None) -> None:
        """Log why it cannot write the file, once for each reason."""
        fault = "" if error is None else str(error)
        if error is not None:
            self._has_changed = True  # tried again: a stamp alone would lie
        if fault and fault != self._fault:
            _log.warning(
                "%(file)s: cannot save which peers are up: %(reason)s",
                {
                    "event": "peer-memory-not-saved",
                    "file": self._path,
                    "reason": fault,
                },
            )
        self._fault = fault

    async def close(self, *, forgets: bool) -> None:
        """Write for the last time; to be called while the sessions are up.

        Args:
            forgets: No peer is to keep our routes: there is nothing to remember.
        """
        if self._timer is None or self._path is None:
            return
        self._timer.cancel()
        self._speaker.observers.detach(self)
        if self._writing is not None:
            await asyncio.wait([self._writing])
        if forgets:
            with contextlib.suppress(OSError):
                self._path.unlink()
            return
        try:
            _write(self._path, self._octets())
        except OSError as error:
            self._tell(error)


def _write(path: Path, octets: bytes) -> None:
    make_folder(path.parent)
    write_file(path, octets, _MODE)


def _stamp(path: Path) -> None:
    os.utime(path, follow_symlinks=False)
