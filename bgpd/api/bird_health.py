"""Calico's rules for when BIRD is ready and alive, on what a BIRD socket answers. Pure.

Words and rules are those of ``calico-node`` (``-bird-ready``, ``-bird-live``), so that
probes written for it judge as before.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

HEADINGS: Final = ["name", "proto", "table", "state", "since", "info"]
ESTABLISHED: Final = "Established"
_PEER_NAME: Final = re.compile(r"(Global|Node|Mesh)_(.+)")
_COLUMNS: Final = 6
_STATUS_CODES: Final = ("0001", "1000", "1011", " ")


class UnexpectedAnswerError(Exception):
    """The answer is not BIRD's, or too strange to read; the text is for the operator."""


class PeerState(NamedTuple):
    """One BGP session.

    Attributes:
        address: Of the peer, from the protocol's name.
        state: BIRD's word, such as ``Established``.
    """

    address: str
    state: str


def parse_protocols(lines: Iterable[str], separator: str) -> list[PeerState]:
    """Return the Calico peers in an answer to ``show protocols``.

    Args:
        lines: Up to and with the one that begins with ``0000``.
        separator: What an underscore in a name stands for: ``.`` or ``:``.

    Raises:
        UnexpectedAnswerError: A line has no form that is known.
    """
    peers = []
    for line in lines:
        code, row = line[:4], line[5:]
        if line.startswith(" "):
            code, row = "1002", line[1:]
        if code == "0000":
            break
        if code == "2002":
            # BIRD 2 and later write them with capitals.
            if row.lower().split() != HEADINGS:
                raise UnexpectedAnswerError("unknown BIRD table output format")
        elif code == "1002":
            columns = row.split()
            name = _PEER_NAME.fullmatch(columns[0]) if columns else None
            if name and len(columns) >= _COLUMNS and columns[1] == "BGP":
                address = name[2].replace("_", separator)
                peers.append(PeerState(address, columns[5]))
        elif code != "0001":
            raise _unexpected(line)
    return peers


def is_recovering(lines: Iterable[str]) -> bool:
    """Return whether an answer to ``show status`` tells of a graceful restart.

    Raises:
        UnexpectedAnswerError: A line has no form that is known.
    """
    for line in lines:
        if line.startswith("0024"):
            return True
        if line.startswith("0013"):
            break
        if not line.startswith(_STATUS_CODES):
            raise _unexpected(line)
    return False


def why_not_established(peers: Sequence[PeerState], *, is_young: bool) -> str:
    """Return what keeps BIRD from being ready, as far as its peers go; empty is nothing.

    Args:
        peers: Of one family.
        is_young: The node started less than the threshold ago: then every session counts,
            so that a rolling update waits for them. Later one is enough, or the loss of a
            node would make the whole mesh unready.
    """
    missing = [peer.address for peer in peers if peer.state != ESTABLISHED]
    is_met = not missing if is_young else len(missing) < len(peers) or not peers
    return "" if is_met else f"BGP not established with {','.join(missing)}"


def _unexpected(line: str) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(f"unexpected output line from BIRD: '{line}'")
