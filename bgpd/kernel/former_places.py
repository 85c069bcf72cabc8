"""What happens to kernel routes when the next start uses another table or protocol, or none.

A file beside the control socket names each place, a table and a protocol number, where runs of
this daemon have put routes and did not take them away again:

    the next start has                 routes of before
    ---------------------------------  -------------------------------------------------
    the same table and number          are adopted (``fib.kernel``), whatever their metric
    another number in the same table   are given that number, then adopted
    another table                      stay until the new table has all, then go
    no kernel table (``mode: off``)    go at the start

The file counts for one boot and one network namespace: elsewhere the kernel has forgotten.
"""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bgpd.config.kernel_moves import kernel_moves
from bgpd.config.settings import DaemonSettings, FibSettings
from bgpd.speaker.previous_run import this_kernel
from bgpd.texts.files import read_text
from bgpd.texts.limits import TextError
from bgpd.texts.state_files import make_folder, write_file
from fib.errors import FibError
from fib.place import Place

SUFFIX: Final = ".fib"
_MOST_OCTETS: Final = 4096
_MOST_PLACES: Final = 32

_LIKE_OURS: Final = (
    "%(count)d kernel routes in %(place)s look like ours but may not be; check with "
    "ip route show table %(table)d proto %(protocol)d"
)

_log = logging.getLogger(__name__)


def place_of(settings: FibSettings) -> Place | None:
    """Return where a configuration puts routes; ``None`` if nowhere."""
    return Place(settings.table, settings.protocol) if settings.is_enabled else None


def read_places(control_path: str) -> list[Place]:
    """Return the places that earlier runs have left routes in, on this very kernel.

    Args:
        control_path: Of the control socket; empty means no memory.
    """
    if not control_path:
        return []
    try:
        text = read_text(
            Path(control_path).with_suffix(SUFFIX), _MOST_OCTETS, follows=False
        )
        kernel, *lines = text.splitlines()
        if kernel != this_kernel():
            return []
        return [Place(*map(int, line.split(" ", 1))) for line in lines[:_MOST_PLACES]]
    except (OSError, TextError, ValueError, TypeError):
        return []


def moves_at_next_start(settings: DaemonSettings) -> list[str]:
    """Return what a start with some settings does to existing kernel routes."""
    return [
        line
        for place in read_places(settings.control_path)
        for line in kernel_moves(
            replace(
                settings.fib,
                is_enabled=True,
                table=place.table,
                protocol=place.protocol,
            ),
            settings.fib,
        )
    ]


class FormerPlaces:
    """The places of this run and of earlier ones.

    Args:
        control_path: Of the control socket; empty keeps no memory.
        settings: Where this run puts routes.

    Attributes:
        left: Places of earlier runs that may have routes still.
    """

    def __init__(self, control_path: str, settings: FibSettings) -> None:
        self._path = Path(control_path).with_suffix(SUFFIX) if control_path else None
        self._here = place_of(settings)
        known = read_places(control_path)
        self.left = [place for place in known if place != self._here]
        self._is_first = not known
        self._alike: dict[Place, int] = {}

    def warnings(self) -> list[str]:
        """Return a warning for each place that has, or may have, routes of earlier runs."""
        alike = [
            _LIKE_OURS % {"count": number, "place": place, **place._asdict()}
            for place, number in self._alike.items()
        ]
        return alike + [
            f"{place} still has kernel routes of an earlier configuration"
            for place in self.left
        ]

    async def begin(self) -> None:
        """Take over what is possible, before this run reads its own routes."""
        self._write()
        here = self._here
        if here is None:
            await self.remove()
            return
        from fib.places import count, take_over  # noqa: PLC0415  # not every reflector

        if self._is_first:
            await self._look_around(here)
        for place in [*self.left]:
            try:
                if place.table == here.table:
                    taken = await take_over(place, here.protocol)
                    self._done(place, taken, f"now have protocol {here.protocol}")
                elif found := await count(place):
                    _log.info(
                        "keeping %(count)d kernel routes of an earlier configuration in "
                        "%(place)s until %(new_place)s has their replacements",
                        {
                            "event": "former-routes-kept",
                            "count": found,
                            "place": place,
                            **place._asdict(),
                            "new_place": here,
                        },
                    )
                else:
                    self.left.remove(place)
            except FibError as error:
                _report(place, error)
        self._write()

    async def _look_around(self, here: Place) -> None:
        """Warn about routes that may be ours although no file says so, the first time on a kernel."""
        from fib.places import elsewhere  # noqa: PLC0415  # likewise

        try:
            self._alike = await elsewhere(here)
        except FibError as error:
            _log.warning(
                "cannot look for kernel routes of earlier runs: %(reason)s",
                {
                    "event": "former-routes-unknown",
                    "reason": error,
                    **here._asdict(),
                },
            )
        for place, number in self._alike.items():
            _log.warning(
                _LIKE_OURS,
                {
                    "event": "former-routes-suspected",
                    "count": number,
                    "place": place,
                    **place._asdict(),
                },
            )

    async def remove(self) -> None:
        """Remove what earlier runs left elsewhere."""
        for place in [*self.left]:
            from fib.places import remove  # noqa: PLC0415  # where there is anything

            try:
                has_objects = self._here is None or (
                    place.protocol != self._here.protocol
                )
                number = await remove(place, has_objects=has_objects)
                self._done(place, number, "removed")
            except FibError as error:
                _report(place, error)
        self._write()

    def forget_here(self) -> None:
        """Note that this run's routes are gone."""
        self._here = None
        self._write()

    def _done(self, place: Place, number: int, what: str) -> None:
        self.left.remove(place)
        if number:
            _log.info(
                "%(count)d kernel routes of an earlier configuration in %(place)s "
                "%(outcome)s",
                {
                    "event": "former-routes-settled",
                    "count": number,
                    "place": place,
                    **place._asdict(),
                    "outcome": what,
                },
            )

    def _write(self) -> None:
        """Record where routes are, if possible."""
        if self._path is None:
            return
        places: Sequence[Place] = (
            self.left if self._here is None else [self._here, *self.left]
        )
        try:
            if not places:
                with contextlib.suppress(FileNotFoundError):
                    self._path.unlink()
                return
            lines = [this_kernel(), *(f"{p.table} {p.protocol}" for p in places)]
            make_folder(self._path.parent)
            write_file(self._path, "".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            _log.warning(
                "cannot write %(file)s: %(reason)s",
                {
                    "event": "file-not-written",
                    "file": self._path,
                    "reason": error,
                },
            )


def _report(place: Place, error: FibError) -> None:
    _log.error(
        "cannot change the kernel routes in %(place)s: %(reason)s",
        {
            "event": "former-routes-failed",
            "place": place,
            **place._asdict(),
            "reason": error,
        },
    )
