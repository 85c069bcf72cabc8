"""Measurements as lines of JSON, appended while they are made, so that a report can go on.

A measurement is taken again only where no line has the same load, router, version, sources and
machine. A line that was cut short by a crash is skipped.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self


class Origin(NamedTuple):
    """What figures were measured on; those of another origin are not mixed with them.

    Attributes:
        machine: Its processors, memory and kernel.
        python: Its version.
        sources: The digest of what our builds are made from.
        commit: Of the checkout, for people.
    """

    machine: str
    python: str
    sources: str
    commit: str

    @property
    def identity(self) -> str:
        """Return what has to be the same; a commit may change what is not measured."""
        return f"{self.machine}|{self.python}|{self.sources}"


class Measurement(NamedTuple):
    """One run of a router under a load.

    Attributes:
        row: Key of the load.
        command: What was run: the load with all its parameters.
        router: Key of the column.
        version: Of the router.
        run: Counts from 0.
        origin: See ``Origin``.
        date: ISO 8601, UTC.
        figures: What was measured; empty for a run that failed.
        error: Why it failed.
        machine: What else the machine did meanwhile: see ``observe``.
    """

    row: str
    command: str
    router: str
    version: str
    run: int
    origin: Origin
    date: str
    figures: Mapping[str, float]
    error: str = ""
    machine: Mapping[str, float] = {}

    def to_line(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps({**self._asdict(), "origin": self.origin._asdict()})

    @classmethod
    def of_line(cls, line: str) -> Self | None:
        """Return the measurement of a line; ``None`` if it is not a whole one."""
        try:
            found: dict[str, Any] = json.loads(line)
            return cls(**{**found, "origin": Origin(**found["origin"])})
        except (ValueError, TypeError, KeyError):
            return None


class Results:
    """The measurements of a file.

    Args:
        file: Created with the first measurement.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        text = file.read_text("utf-8") if file.is_file() else ""
        lines = [Measurement.of_line(line) for line in text.splitlines()]
        self.measurements = [it for it in lines if it is not None]
        self.skipped = len(lines) - len(self.measurements)
        # A crash may have left a line without its end: what follows begins a new one.
        self._start = "\n" if text and not text.endswith("\n") else ""

    def add(self, measurement: Measurement) -> None:
        """Keep a measurement, in the file too, before anything else is done."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(self._start + measurement.to_line() + "\n")
        self._start = ""
        self.measurements.append(measurement)

    def forget(self, rows: Collection[str], routers: Collection[str]) -> None:
        """Leave out what is to be measured again; whole lines of others are kept."""
        self.measurements = [
            it
            for it in self.measurements
            if it.row not in rows or it.router not in routers
        ]
        part = self._file.with_suffix(".part")
        lines = [it.to_line() + "\n" for it in self.measurements]
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(lines), "utf-8")
        part.replace(self._file)
        self._start = ""

    def of(
        self, row: str, command: str, router: str, version: str, origin: Origin
    ) -> list[Measurement]:
        """Return the runs that need not be made again, in their order."""
        wanted = (row, command, router, version, origin.identity)
        found = {}
        for it in self.measurements:
            its = (it.row, it.command, it.router, it.version, it.origin.identity)
            if its == wanted:
                found[it.run] = it
        return [found[run] for run in sorted(found)]


def latest(
    measurements: Sequence[Measurement], machine: str, rows: Iterable[str]
) -> dict[str, list[Measurement]]:
    """Return what a page shows: of each row the latest command and sources, on one machine.

    Figures of one row come from the same sources and the same load, or their ratios would mean
    nothing. A row may be older than another one: each says its commit.
    """
    found: dict[str, list[Measurement]] = {}
    for row in rows:
        its = [
            it for it in measurements if it.row == row and it.origin.machine == machine
        ]
        if not its:
            continue
        last = its[-1]
        found[row] = [
            it
            for it in its
            if (it.command, it.origin.identity) == (last.command, last.origin.identity)
        ]
    return found
