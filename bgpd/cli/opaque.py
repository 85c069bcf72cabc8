"""Words for attributes that the daemon carries without understanding them.

The daemon keeps their octets; ExaBGP knows many of them (prefix SID, PMSI tunnel, BGP-LS
and more), and is an extra of the installation. It is imported only when there is something to explain, by the client, never by
the daemon: the import costs 0.3 s and 17 MB.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

_HINT: Final = "(pip install 'pybgpd[exabgp]' shows more of such attributes in words)"
_SAYS_NOTHING: Final = ("attribute [", "error ")  # unknown to ExaBGP, or malformed


def explain(unknown: Iterable[dict[str, Any]]) -> list[str]:
    """Return a line for each attribute of ``describe``'s ``unknown`` list.

    What ExaBGP does not know either, or cannot read, appears as its number and octets; so does
    everything where it is not installed, and the last line says how to change that.
    """
    entries = list(unknown)
    decode = _decoder() if entries else None
    lines = [_line(entry, decode) for entry in entries]
    return [*lines, _HINT] if entries and decode is None else lines


def _line(entry: dict[str, Any], decode: Any) -> str:  # noqa: ANN401  # ExaBGP is untyped
    value = bytes.fromhex(entry["value"])
    plain = f"attribute {entry['type']} flags {entry['flags']}: {entry['value']}"
    if decode is None or len(value) > 0xFF:
        return plain
    flags = int(entry["flags"], 16) & ~0x30  # neither Partial nor Extended Length
    try:
        text = str(decode(bytes((flags, entry["type"], len(value))) + value)).strip()
    except Exception:  # noqa: BLE001  # whatever another program's parser raises
        return plain
    return plain if text.startswith(_SAYS_NOTHING) or not text else text


def _decoder() -> Any:  # noqa: ANN401  # ExaBGP is untyped
    """Return ExaBGP's decoder of one attribute; ``None`` if it is unavailable."""
    try:
        from exabgp.bgp.message.direction import Direction  # noqa: PLC0415
        from exabgp.bgp.message.open.asn import ASN  # noqa: PLC0415
        from exabgp.bgp.message.open.capability.negotiated import (  # noqa: PLC0415
            Negotiated,
        )
        from exabgp.bgp.message.update.attribute import Attributes  # noqa: PLC0415
        from exabgp.environment import getenv  # noqa: PLC0415
        from exabgp.logger import log  # noqa: PLC0415
    except ImportError:
        return None
    environment = getenv()
    environment.log.level = "CRITICAL"
    log.init(environment)  # without it the first decode fails

    class Neighbor(dict[str, Any]):
        """The mapping that a session's context is made from."""

        def families(self) -> list[object]:
            """Return none: attributes do not depend on them."""
            return []

    capability = defaultdict(bool, asn4=True, aigp=True)
    asn = ASN(64512)
    context = Negotiated(
        Neighbor({"capability": capability, "local-as": asn, "peer-as": asn})
    )

    def decode(block: bytes) -> object:
        return Attributes.unpack(block, Direction.IN, context)

    return decode
