"""Measures how long routes take, from their receipt to the kernel, while it is on."""

from time import monotonic

from bgpd.pipeline.propagation import Propagation
from bgpd.speaker.speaker import Speaker
from fib.routes import Fib
from rib.family import Family


class PropagationMeter:
    """Switches the histograms of all families on and off.

    Args:
        speaker: Whose routes they are.
        fib: Where best paths go; ``None`` where routes do not go into the kernel.
    """

    def __init__(self, speaker: Speaker, fib: Fib | None) -> None:
        self._tables = speaker.context.tables
        self._fib = fib

    def follow(self, *, is_on: bool) -> None:
        """Measure, or no longer; what was measured is gone once it is off."""
        for family, tables in self._tables.items():
            if not is_on:
                tables.measure(None)
            elif tables.propagation is None:
                propagation = Propagation(family)
                propagation.kernel = self._fib
                tables.measure(propagation)
        if self._fib is not None:
            self._fib.observe(self if is_on else None)

    def written(self, family: Family, waiting: int) -> None:
        """Note what the kernel has acknowledged."""
        propagation = self._tables[family].propagation
        if propagation is not None:
            propagation.note_installed(waiting, monotonic())
