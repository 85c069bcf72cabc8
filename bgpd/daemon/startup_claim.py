"""What a start does before anything else: claim its place, then listen.

A peer whose connection is refused may try again only after minutes: FRR and OpenBGPD wait
120 s. So the sockets listen before most of the program is even loaded, and before a
datastore has said who the peers are; who connects waits in the kernel's queue. But first the
control path is claimed: a second daemon by mistake must not take a connection that is meant
for the first. Loads little: every module here is time without a listening socket.
"""

import contextlib
import os
from collections.abc import Iterable

from bgpd.api.claim import Claim, ClaimError
from bgpd.config.settings import DaemonSettings, DatastoreKind
from bgpd.daemon.errors import MisconfigurationError, StartError
from bgpd.daemon.inherited_sockets import take_inherited
from bgpd.net.network import Socket
from bgpd.net.sockets import (
    BACKLOG,
    SocketError,
    listening_socket,
    start_listening,
)
from bgpd.speaker.peer_memory_reader import memory_path, read_memory

Place = tuple[str, int]
"""Address and port."""


class StartupClaim:
    """The place of this daemon among others, and the sockets that listen already.

    Args:
        control_path: Of the control socket; empty claims nothing.

    Attributes:
        sockets: Where it listens, and by what; the speaker's listener takes them over.
        inherited: Where the service manager listens for us.
        control: The control socket, where the service manager has made it.

    Raises:
        ClaimError: Another daemon has the control path.
        MisconfigurationError: A socket of the service manager's cannot be used.
    """

    def __init__(self, control_path: str) -> None:
        given = take_inherited(os.environ)
        self.sockets: dict[Place, Socket] = given.bgp
        self.inherited = frozenset(given.bgp)
        self.control = given.unix.pop(control_path, None)
        for path in given.unix:
            text = f"the socket unit listens at {path}, and control.path is"
            raise MisconfigurationError(f"{text} {control_path or 'empty'}")
        self._claim = Claim(control_path, is_inherited=self.control is not None)

    def listen(self, places: Iterable[Place]) -> None:
        """Listen where that is possible; later code reports the other failures."""
        for place in places:
            if place in self.sockets:
                continue
            with contextlib.suppress(SocketError):
                sock = listening_socket(*place, is_free=True)
                try:
                    start_listening(sock, BACKLOG)
                except SocketError:
                    sock.close()
                    raise
                self.sockets[place] = sock

    def hand_over(self) -> dict[Place, Socket]:
        """Return the sockets; the caller owns them from here on."""
        given, self.sockets = self.sockets, {}
        return given

    def close(self) -> None:
        """Give up the place, and close sockets that were not handed over."""
        for sock in self.hand_over().values():
            sock.close()
        self._claim.release()


def claim_startup(settings: DaemonSettings) -> StartupClaim:
    """Claim the control path and listen, as far as it is known where.

    Raises:
        StartError: Another daemon has the control path.
        MisconfigurationError: A socket of the service manager's cannot be used.
    """
    try:
        startup_claim = StartupClaim(settings.control_path)
    except ClaimError as error:
        raise StartError(str(error)) from error
    if settings.datastore.kind is DatastoreKind.NONE:
        speaker = settings.speaker
        places = [(addr, speaker.listen_port) for addr in speaker.listen_addresses]
    else:  # which may take its time to say where; it was there before, most likely
        known = read_memory(memory_path(settings.control_path))
        places = [] if known is None else list(known.places)
    startup_claim.listen(places)
    return startup_claim
