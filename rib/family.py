"""Address families a session can carry (RFC 4760): AFI and SAFI, named once.

A ``Family`` is a plain interned tuple, so that it can be a dictionary key at the price of
a tuple's hash; the tables of known families are the only place that maps names to numbers.
"""

from typing import Final, NamedTuple

AFI_IPV4: Final = 1  # RFC 4760 section 3, IANA "Address Family Numbers"
AFI_IPV6: Final = 2
SAFI_UNICAST: Final = 1


class Family(NamedTuple):
    """One AFI/SAFI pair as it stands in capabilities and MP attributes."""

    afi: int
    safi: int

    def __str__(self) -> str:
        """Return the configuration's name (``ipv4-unicast``), or the bare numbers."""
        return FAMILY_NAMES.get(self, f"afi-{self.afi}-safi-{self.safi}")


IPV4_UNICAST: Final = Family(AFI_IPV4, SAFI_UNICAST)
IPV6_UNICAST: Final = Family(AFI_IPV6, SAFI_UNICAST)

FAMILY_NAMES: Final = {IPV4_UNICAST: "ipv4-unicast", IPV6_UNICAST: "ipv6-unicast"}
FAMILIES_BY_NAME: Final = {name: family for family, name in FAMILY_NAMES.items()}

ADDRESS_OCTETS: Final = {AFI_IPV4: 4, AFI_IPV6: 16}
