"""What is wrong with one object of the datastore, as data.

A bad object never blocks another one, and one that was good before stays in force as it
was last understood; the warning says which object, which field and why.
"""

from typing import NamedTuple


class ObjectWarning(NamedTuple):
    """One finding about one object; a tuple, since there may be tens of thousands.

    Attributes:
        key: The object's key; the datastore's ``describe(key)`` names file and line.
        field: Path inside the object, such as ``spec.bgp.asNumber``; may be empty.
        text: What was found, and what is done about it.
    """

    key: str
    field: str
    text: str

    def __str__(self) -> str:
        """Return one line for logs and tables."""
        place = f"{self.key} {self.field}" if self.field else self.key
        return f"{place}: {self.text}"
