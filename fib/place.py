"""Where our routes are in the kernel: a value. Pure."""

from typing import NamedTuple


class Place(NamedTuple):
    """Where our routes are, or were.

    Attributes:
        table: The kernel's number.
        protocol: Their mark.
    """

    table: int
    protocol: int

    def __str__(self) -> str:
        return f"table {self.table}, protocol {self.protocol}"
