"""How malformed routing information is reported: as data with a remedy (RFC 7606).

A malformed attribute is not an exception: the UPDATE's other routes go on. ``Problem``
carries what was wrong and what must be done; with several in one UPDATE the strongest
remedy wins: ``max(problem.remedy for problem in problems)``.
"""

from dataclasses import dataclass
from enum import IntEnum


class Remedy(IntEnum):
    """The error-handling approaches of RFC 7606 section 2, mildest first."""

    ATTRIBUTE_DISCARD = 1
    TREAT_AS_WITHDRAW = 2
    AFI_SAFI_DISABLE = 3
    SESSION_RESET = 4


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an UPDATE.

    Attributes:
        remedy: What the RFC asks for.
        text: For the log: which attribute, what was found, what was expected.
        type_code: The attribute's type code; 0 if it is not a single attribute.
        subcode: UPDATE Message Error subcode (RFC 4271 6.3), used when the remedy is
            SESSION_RESET.
        data: The NOTIFICATION's data field in that case.
        is_about_routes: The attribute itself is sound, and its UPDATE's routes are not
            wanted for what it says: nothing is wrong with an UPDATE that has none.
    """

    remedy: Remedy
    text: str
    type_code: int = 0
    subcode: int = 0
    data: bytes = b""
    is_about_routes: bool = False
