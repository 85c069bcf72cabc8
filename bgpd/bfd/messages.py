"""Messages between the daemon and its BFD process: one JSON list each, in a packet of its own. Pure.

to the process                                        to the daemon
["set", number, address, interface, local address,    ["report", number, state, diagnostic,
 is multihop, parameters, key, report or null]          discriminator, [what the peer said]]
["remove", number]                                    ["fault", number, text]
["count", token]                                      ["counts", token, {reason: discarded},
                                                        {number: [received, sent, interval, ...]}]
"""

import json
from typing import Any, Final, NamedTuple

from bgpd.bfd.authentication import AuthKey, AuthType
from bgpd.bfd.packet import State
from bgpd.bfd.session import Parameters, Peer
from bgpd.bfd.session_table import Report

MAX_MESSAGE: Final = 65_536  # octets
COUNTS_AT_ONCE: Final = 500  # sessions in a message


class Target(NamedTuple):
    """One session as the daemon wants it.

    Attributes:
        address: The peer's, canonical text; link-local without its zone.
        interface: Device to bind to, and the zone of a link-local address; empty for none.
        local_address: Ours; empty lets the kernel choose.
        is_multihop: RFC 5883, else RFC 5881.
        parameters: See ``Parameters``.
    """

    address: str
    interface: str
    local_address: str
    is_multihop: bool
    parameters: Parameters


def encode(*message: object) -> bytes:
    """Return one message."""
    return json.dumps(message, separators=(",", ":")).encode()


def decode(octets: bytes) -> list[Any]:
    """Return one message of our other half."""
    message: list[Any] = json.loads(octets)
    return message


def encode_set(number: int, target: Target, resumed: Report | None) -> bytes:
    """Return the message that begins or changes a session."""
    key = target.parameters.key
    shared = None if key is None else [key.kind, key.key_id, key.secret.hex()]
    parameters = target.parameters[:3]
    return encode("set", number, *target[:4], parameters, shared, resumed)


def target_of(fields: list[Any]) -> Target:
    """Return what the fields of a "set" message want, from the address on."""
    address, interface, local, is_multihop, (min_tx, min_rx, multiplier), shared = (
        fields
    )
    key = None
    if shared is not None:
        kind, key_id, secret = shared
        key = AuthKey(AuthType(kind), key_id, bytes.fromhex(secret))
    parameters = Parameters(min_tx, min_rx, multiplier, key)
    return Target(address, interface, local, is_multihop, parameters)


def report_from(fields: list[Any] | None) -> Report | None:
    """Return a report of JSON's lists."""
    if fields is None:
        return None
    state, diagnostic, discriminator, (number, peer_state, *others) = fields
    peer = Peer(number, State(peer_state), *others)
    return Report(State(state), diagnostic, discriminator, peer)
