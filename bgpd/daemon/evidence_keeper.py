"""What is recorded and reported of a daemon, as far as its settings want it.

What is off is not even loaded.
"""

from collections.abc import Callable
from socket import gethostname
from typing import TYPE_CHECKING

from bgpd.config.evidence_settings import BmpSettings, MrtSettings
from bgpd.config.settings import DaemonSettings
from bgpd.speaker.speaker import Speaker

if TYPE_CHECKING:  # not every daemon writes files, or tells collectors
    from bgpd.evidence.bmp_monitor import BmpMonitor
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
        self._bmp: BmpMonitor | None = None
        self._told = BmpSettings()

    def follow(self, settings: DaemonSettings) -> None:
        """Record what settings say from now on."""
        if self._mrt is None and _writes(settings.mrt):
            from bgpd.evidence.mrt_keeper import MrtKeeper  # noqa: PLC0415  # not every daemon

            self._mrt = MrtKeeper(self._speaker, self._own_as)
        if self._mrt is not None:
            self._mrt.follow(settings.mrt)
        if self._told != settings.bmp:
            self._tell(settings.bmp)

    def _tell(self, settings: BmpSettings) -> None:
        """Tell collectors from now on; those there were are connected to again."""
        self._told = settings
        if self._bmp is not None:
            self._bmp.close()
            self._bmp = None
        if settings.collectors:
            from bgpd import __version__  # noqa: PLC0415  # not every daemon
            from bgpd.evidence.bmp_monitor import BmpMonitor  # noqa: PLC0415

            self._bmp = BmpMonitor(
                self._speaker, gethostname(), f"pybgpd {__version__}", self._own_as()
            )
            self._bmp.start(settings)

    def faults(self) -> list[str]:
        """Return what an operator should know now, a line each."""
        return [
            *([] if self._mrt is None else self._mrt.faults()),
            *([] if self._bmp is None else self._bmp.faults()),
        ]

    def mrt_figures(self) -> list[tuple[str, int, int, int, int]]:
        """Return what became of MRT records: kind, files, records, dropped ones, errors."""
        return [] if self._mrt is None else self._mrt.figures()

    def close(self) -> None:
        """Record no more."""
        if self._mrt is not None:
            self._mrt.close()
        if self._bmp is not None:
            self._bmp.close()


def _writes(settings: MrtSettings) -> bool:
    return bool(settings.table.folder or settings.updates.folder)
