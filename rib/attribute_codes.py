"""Path attribute numbers: type codes, flags and canonical flags (RFC 4271 4.3, IANA)."""

from types import MappingProxyType
from typing import Final

OPTIONAL: Final = 0x80
TRANSITIVE: Final = 0x40
PARTIAL: Final = 0x20
EXTENDED_LENGTH: Final = 0x10

ORIGIN: Final = 1
AS_PATH: Final = 2
NEXT_HOP: Final = 3
MULTI_EXIT_DISC: Final = 4
LOCAL_PREF: Final = 5
ATOMIC_AGGREGATE: Final = 6
AGGREGATOR: Final = 7
COMMUNITIES: Final = 8  # RFC 1997
ORIGINATOR_ID: Final = 9  # RFC 4456
CLUSTER_LIST: Final = 10  # RFC 4456
MP_REACH_NLRI: Final = 14  # RFC 4760
MP_UNREACH_NLRI: Final = 15  # RFC 4760
EXTENDED_COMMUNITIES: Final = 16  # RFC 4360
AS4_PATH: Final = 17  # RFC 6793
AS4_AGGREGATOR: Final = 18  # RFC 6793
IPV6_EXTENDED_COMMUNITIES: Final = 25  # RFC 5701
AIGP: Final = 26  # RFC 7311
LARGE_COMMUNITIES: Final = 32  # RFC 8092
ONLY_TO_CUSTOMER: Final = 35  # RFC 9234

WELL_KNOWN: Final = TRANSITIVE
OPTIONAL_TRANSITIVE: Final = OPTIONAL | TRANSITIVE
OPTIONAL_NON_TRANSITIVE: Final = OPTIONAL

FLAGS: Final = MappingProxyType(
    {
        ORIGIN: WELL_KNOWN,
        AS_PATH: WELL_KNOWN,
        NEXT_HOP: WELL_KNOWN,
        MULTI_EXIT_DISC: OPTIONAL_NON_TRANSITIVE,
        LOCAL_PREF: WELL_KNOWN,
        ATOMIC_AGGREGATE: WELL_KNOWN,
        AGGREGATOR: OPTIONAL_TRANSITIVE,
        COMMUNITIES: OPTIONAL_TRANSITIVE,
        ORIGINATOR_ID: OPTIONAL_NON_TRANSITIVE,
        CLUSTER_LIST: OPTIONAL_NON_TRANSITIVE,
        MP_REACH_NLRI: OPTIONAL_NON_TRANSITIVE,
        MP_UNREACH_NLRI: OPTIONAL_NON_TRANSITIVE,
        EXTENDED_COMMUNITIES: OPTIONAL_TRANSITIVE,
        AS4_PATH: OPTIONAL_TRANSITIVE,
        AS4_AGGREGATOR: OPTIONAL_TRANSITIVE,
        IPV6_EXTENDED_COMMUNITIES: OPTIONAL_TRANSITIVE,
        AIGP: OPTIONAL_NON_TRANSITIVE,
        LARGE_COMMUNITIES: OPTIONAL_TRANSITIVE,
        ONLY_TO_CUSTOMER: OPTIONAL_TRANSITIVE,
    }
)
"""Flags each attribute is sent with; Extended Length comes with values over 255 octets."""

OTHER_OPTIONAL: Final = frozenset((22, 23, 24, 27, 29, 33, 36, 37, 38, 39, 40, 128))
"""Registered optional attributes that are carried or dropped unread (IANA).

With the Optional bit clear such a one is no unrecognised well-known attribute, which would
end the session (RFC 4271 6.3), but one with wrong flags (RFC 7606 3 c).
"""

UNKNOWN_FLAGS: Final = OPTIONAL_TRANSITIVE | PARTIAL
"""Flags of attributes passed on without being understood (RFC 4271 5)."""

# UPDATE Message Error subcodes (RFC 4271 6.3)
MALFORMED_ATTRIBUTE_LIST: Final = 1
UNRECOGNIZED_WELL_KNOWN: Final = 2
MISSING_WELL_KNOWN: Final = 3
ATTRIBUTE_FLAGS_ERROR: Final = 4
ATTRIBUTE_LENGTH_ERROR: Final = 5
INVALID_ORIGIN: Final = 6
INVALID_NEXT_HOP: Final = 8
OPTIONAL_ATTRIBUTE_ERROR: Final = 9
MALFORMED_AS_PATH: Final = 11

AS_TRANS: Final = 23456  # RFC 6793 9
