"""Builders of attribute octets for tests."""

from rib.attributes import AttributeContext, parse_as_path
from rib.attributes.path_attributes import encode_attribute

PEER_AS = 65001
LOCAL_AS = 65000
NEXT_HOP = bytes([192, 0, 2, 1])

EBGP = AttributeContext(
    is_ibgp=False, four_octet_as=True, peer_as=PEER_AS, local_as=LOCAL_AS
)
IBGP = AttributeContext(
    is_ibgp=True, four_octet_as=True, peer_as=LOCAL_AS, local_as=LOCAL_AS
)

ORIGIN = encode_attribute(1, b"\0")
AS_PATH = encode_attribute(2, parse_as_path(f"{PEER_AS} 65010"))
NEXT_HOP_ATTRIBUTE = encode_attribute(3, NEXT_HOP)
BASE = ORIGIN + AS_PATH + NEXT_HOP_ATTRIBUTE


def attribute(code: int, value: bytes, flags: int | None = None) -> bytes:
    """Return an attribute's octets, with the table's flags unless told."""
    return encode_attribute(code, value, flags)


def with_attribute(code: int, value: bytes, flags: int | None = None) -> bytes:
    """Return a valid block with attribute ``code`` set so, in its place."""
    parts = {1: ORIGIN, 2: AS_PATH, 3: NEXT_HOP_ATTRIBUTE}
    parts[code] = encode_attribute(code, value, flags)
    return b"".join(parts[key] for key in sorted(parts))
