"""The two forms of BIRD's protocol: of BIRD 1, one socket for a family, and of BIRD 2 and 3.

Calico's tools read BIRD 1; looking glasses and exporters read either, and count routes and draw
paths by BIRD 2's form alone.
"""

from typing import Final, NamedTuple

from bgpd.show.bird.vocabulary import date_and_time, moment
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family

_SECOND_TABLES: Final = {IPV4_UNICAST: "master4", IPV6_UNICAST: "master6"}
_FIRST_TABLE: Final = "master"
SECOND_VERSION: Final = "2.0.12"


class Dialect(NamedTuple):
    """How answers are written.

    Attributes:
        version: Which BIRD to be.
        families: Whose sessions and routes are shown.
        is_second: In the form of BIRD 2.
    """

    version: str
    families: tuple[Family, ...]
    is_second: bool = False

    @property
    def missing(self) -> str:
        """The error about a prefix that the table does not have."""
        return "Network not found" if self.is_second else "Network not in table"

    def table_of(self, family: Family) -> str:
        """Return the name of a family's table."""
        return _SECOND_TABLES[family] if self.is_second else _FIRST_TABLE

    def named(self, table: str) -> tuple[Family, ...]:
        """Return the families whose table has a name; none if no table has it.

        BIRD 1 has one table; the names of BIRD 2 are taken all the same.
        """
        if table == _FIRST_TABLE:
            return self.families
        return tuple(
            family for family in self.families if _SECOND_TABLES[family] == table
        )

    def time(self, at: float, now: float) -> str:
        """Return a time of the loop's clock as rows show it.

        In BIRD 2's form that is date and hour, which looking glasses ask BIRD's operators for
        (``timeformat ... iso long``).
        """
        return date_and_time(at, now) if self.is_second else moment(at, now)


def first(family: Family, version: str) -> Dialect:
    """Return BIRD 1's form, for one family."""
    return Dialect(version, (family,))


def second() -> Dialect:
    """Return BIRD 2's form, for both families."""
    return Dialect(SECOND_VERSION, (IPV4_UNICAST, IPV6_UNICAST), is_second=True)
