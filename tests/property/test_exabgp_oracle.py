"""exabgp 5.0 reads our blocks as we do: same attributes, octet for octet.

Known deviations of exabgp stay out of the generated blocks: attributes it does not know
(ONLY_TO_CUSTOMER, IPv6 extended communities, unknown ones), and lists it keeps as sets.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rib.attributes import PathAttributes, edit
from rib.attributes.path_attributes import iterate
from rib.nlri import parse_prefix, split
from tests.support.attribute_strategies import attribute_sets

LOCAL_AS = 64512
OPEN_BODY = bytes.fromhex(
    "04fc0000b40a000001140212010400010001010400020001410400000000"
)

# Item size of attributes whose items exabgp orders and takes once.
SETS = {8: 4, 16: 8, 32: 12}

Decode = Callable[[bytes], Any]


@pytest.fixture(scope="module")
def exabgp() -> Decode:
    """Return a function from an UPDATE's body to exabgp's reading of it."""
    from exabgp.bgp.message import Open, Update  # noqa: PLC0415 - needs its log first
    from exabgp.bgp.message.direction import Direction  # noqa: PLC0415
    from exabgp.bgp.message.open.asn import ASN  # noqa: PLC0415
    from exabgp.bgp.message.open.capability.negotiated import (  # noqa: PLC0415
        Negotiated,
    )
    from exabgp.environment import getenv  # noqa: PLC0415
    from exabgp.logger import log  # noqa: PLC0415
    from exabgp.protocol.family import AFI, SAFI  # noqa: PLC0415

    class Neighbour(dict[str, Any]):
        def families(self) -> list[tuple[Any, Any]]:
            return [(AFI.ipv4, SAFI.unicast), (AFI.ipv6, SAFI.unicast)]

    environment = getenv()
    environment.log.level = "CRITICAL"
    log.init(environment)
    asn = ASN(LOCAL_AS)
    capability = defaultdict(bool, asn4=True, aigp=True)
    negotiated = Negotiated(
        Neighbour({"capability": capability, "local-as": asn, "peer-as": asn})
    )
    opened = Open.unpack_message(OPEN_BODY)
    negotiated.sent(opened)
    negotiated.received(opened)
    negotiated.asn4 = True
    negotiated.aigp = True
    negotiated.local_as = negotiated.peer_as = asn

    def decode(body: bytes) -> Any:
        negotiated.cached_attributes = None  # else equal to the last one by mistake
        update = Update.unpack_message(body, Direction.IN, negotiated)
        octets = {
            code: value.pack(negotiated)
            for code, value in update.attributes.items()
            if code < 256  # its own marks for RFC 7606 are above
        }
        marks = [code for code in update.attributes if code >= 256]
        prefixes = [str(nlri.cidr.prefix()) for nlri in update.nlris]
        return octets, marks, prefixes

    return decode


def comparable(code: int, value: bytes) -> object:
    size = SETS.get(code)
    if size is None:
        return value
    return sorted({value[at : at + size] for at in range(0, len(value), size)})


def value_of(octets: bytes) -> bytes:
    ((_, _, value),) = iterate(octets)
    return value


prefixes = st.lists(
    st.tuples(st.binary(min_size=4, max_size=4), st.integers(8, 32)).map(
        lambda drawn: f"{'.'.join(map(str, drawn[0]))}/{drawn[1]}"
    ),
    min_size=1,
    max_size=4,
    unique=True,
)


@given(made=attribute_sets, texts=prefixes)
def test_exabgp_reads_the_same_route(
    exabgp: Decode, made: PathAttributes, texts: list[str]
) -> None:
    unknown = [
        code for _, code, _ in iterate(made.octets) if code >= 200 or code in (25, 35)
    ]
    block = edit(made.octets, dict.fromkeys(unknown))
    run = b"".join(parse_prefix(text)[1] for text in texts)
    body = b"\0\0" + len(block).to_bytes(2, "big") + block + run
    octets, marks, read = exabgp(body)
    assert marks == []
    ours = {code: comparable(code, value) for _, code, value in iterate(block)}
    theirs = {
        code: comparable(code, value_of(packed))
        for code, packed in octets.items()
        if packed
    }
    theirs.setdefault(2, b"")  # an empty AS_PATH is not kept
    assert theirs == ours
    assert len(read) == len(split(run))
