"""What is recorded and reported of a daemon, as far as its settings want it.

What is off is not even loaded.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bgpd.config.evidence_settings import MrtSettings
from bgpd.config.settings import DaemonSettings
from bgpd.speaker.speaker import Speaker

if TYPE_CHECKING:  # not every daemon writes files
    from bgpd.evidence.mrt_keeper import MrtKeeper


class EvidenceKeeper:
    """Follows the settings.

    Args:
        speaker: What is recorded.
        own_as: Returns our AS number.
    """

    def __init__(self, speaker: Speaker, own_as: Callable[[], int]) -> None:
        self._speaker = speaker
        self._own_as = own_as
        self._mrt: MrtKeeper | None = None

    def follow(self, settings: DaemonSettings) -> None:
        """Record what settings say from now on."""
        if self._mrt is None and _writes(settings.mrt):
            from bgpd.evidence.mrt_keeper import MrtKeeper  # noqa: PLC0415  # not every daemon

            self._mrt = MrtKeeper(self._speaker, self._own_as)
        if self._mrt is not None:
            self._mrt.follow(settings.mrt)

    def faults(self) -> list[str]:
        """Return what an operator should know now, a line each."""
        return [] if self._mrt is None else self._mrt.faults()

    def mrt_figures(self) -> list[tuple[str, int, int, int, int]]:
        """Return what became of MRT records: kind, files, records, dropped ones, errors."""
        return [] if self._mrt is None else self._mrt.figures()

    def close(self) -> None:
        """Record no more."""
        if self._mrt is not None:
            self._mrt.close()


def _writes(settings: MrtSettings) -> bool:
    return bool(settings.table.folder or settings.updates.folder)
