"""Path attributes: the names other packages use (RFC 4271 5, RFC 7606).

The parts: ``path_attributes`` holds a route's attributes, ``decode`` reads them
from an UPDATE by the rows of ``table``, ``mp`` the two that carry
NLRI; ``four_octet_as`` converts for peers without RFC 6793, ``text`` shows them.
"""

from rib.attributes.as_path import (
    AsPath,
    PrivateScope,
    format_as_path,
    hide_private,
    parse_as_path,
    prepend,
    replace_as,
    split_leading,
)
from rib.attributes.decode import (
    DecodedBlock,
    decode_block,
    decode_usual,
    usual_form,
)
from rib.attributes.four_octet_as import to_two_octet
from rib.attributes.mp import (
    MpReach,
    MpUnreach,
    decode_mp_reach,
    decode_mp_unreach,
    extract_mp,
)
from rib.attributes.path_attributes import (
    ORIGIN_EGP,
    ORIGIN_IGP,
    ORIGIN_INCOMPLETE,
    DecisionFields,
    PathAttributes,
    PlainAttributes,
    SplicedAttributes,
    edit,
    encode_attribute,
    encode_communities,
    encode_ext_communities,
    encode_large_communities,
    make_attributes,
)
from rib.attributes.table import TABLE, AttributeContext, AttributeRow
from rib.attributes.text import describe, format_next_hop

__all__ = [
    "ORIGIN_EGP",
    "ORIGIN_IGP",
    "ORIGIN_INCOMPLETE",
    "TABLE",
    "AsPath",
    "AttributeContext",
    "AttributeRow",
    "DecisionFields",
    "DecodedBlock",
    "MpReach",
    "MpUnreach",
    "PathAttributes",
    "PlainAttributes",
    "PrivateScope",
    "SplicedAttributes",
    "decode_block",
    "decode_mp_reach",
    "decode_mp_unreach",
    "decode_usual",
    "describe",
    "edit",
    "encode_attribute",
    "encode_communities",
    "encode_ext_communities",
    "encode_large_communities",
    "extract_mp",
    "format_as_path",
    "format_next_hop",
    "hide_private",
    "make_attributes",
    "parse_as_path",
    "prepend",
    "replace_as",
    "split_leading",
    "to_two_octet",
    "usual_form",
]
