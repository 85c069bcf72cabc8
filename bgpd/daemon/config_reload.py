"""Reading the configuration again while sessions run.

A process of its own reads it, and what it comes to is taken in, compared and applied a few
milliseconds at a time. Whatever goes wrong with reading is one answer: nothing has changed,
and why. A signal, a command and a changed file all go this one way.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from bgpd.config.diff import Step, pending
from bgpd.config.settings import DaemonSettings
from bgpd.daemon.errors import ReloadError
from bgpd.texts.moments import utc

if TYPE_CHECKING:  # a reflector without a file must not load the file's models
    from bgpd.config.loader import Loaded
    from bgpd.config.reading import Source
    from bgpd.daemon.config_reader import ConfigReader

_SHOWN: Final = 8  # steps in a warning
MAX_LINES: Final = 500  # of steps, in an answer and in the log

_NO_SOURCE: Final = (
    "there is no configuration to reload: the daemon was started with options only"
)

_log = logging.getLogger(__name__)


class Apply(Protocol):
    """Puts settings in force and returns what was done, a line for each step."""

    def __call__(
        self, new: DaemonSettings, *, allows_resets: bool = False
    ) -> Awaitable[list[str]]:
        """Put them in force.

        Args:
            new: The settings.
            allows_resets: Whatever ``reload.resets`` says.
        """


class SettingsInForce:
    """The settings in force, and those of the next start.

    Args:
        settings: As of the start.

    Attributes:
        settings: What holds now.
        first: What held at the start, and does still where a key cannot change live.
        changed_at: When another configuration was put in force, on the loop's clock; 0
            for never.
        pending: Changed keys that wait for the next start.
        held: Steps that end sessions and wait for consent.
    """

    def __init__(self, settings: DaemonSettings) -> None:
        self.settings = settings
        self.first = settings
        self.changed_at = 0.0
        self.pending: tuple[str, ...] = ()
        self.held: tuple[Step, ...] = ()

    def replace(
        self, settings: DaemonSettings, now: float, held: tuple[Step, ...] = ()
    ) -> None:
        """Put new settings in force.

        Args:
            settings: Without what waits for consent.
            now: On the loop's clock.
            held: What waits.
        """
        self.held = held
        self.settings = settings
        self.pending = pending(self.first, settings)
        self.changed_at = now

    def warnings(self) -> list[str]:
        """Return warnings about keys that wait for the next start, and for consent."""
        lines = []
        if self.pending:
            keys = ", ".join(self.pending)
            text = f"changes to these keys take effect only at the next start: {keys}"
            lines.append(text)
        if self.held:
            shown = "; ".join(map(str, self.held[:_SHOWN]))
            more = len(self.held) - _SHOWN
            lines.append(
                "changes that end sessions wait for consent (pybgpctl reload "
                f"--allow-reset): {shown}" + (f" and {more} more" if more > 0 else "")
            )
        return lines


class ConfigReload:
    """Reloads one configuration, one time after the other.

    Args:
        source: What is read again; ``None`` where there is nothing to read.
        files: What the running settings came from.
        apply: Puts settings in force and returns what was done, a line for each step.

    Attributes:
        files: Every file that was read; a change of one is a reason to reload.
        refusal: Why the last reload was refused; empty after one that was not.
        refused_at: When, in seconds of the wall clock.
        succeeded_at: When the settings in force were read, likewise.
        turn: Held while the settings in force change.
        refusal_now: Why there can be no reload now; empty if there can.
    """

    def __init__(
        self, source: "Source | None", files: tuple[Path, ...], apply: Apply
    ) -> None:
        self.files = files
        self.refusal = ""
        self.refused_at = 0.0
        self.succeeded_at = time.time()
        self._source = source
        self._apply = apply
        self._reader = None if source is None else _reader(source)
        self.turn = asyncio.Lock()
        self.refusal_now: Callable[[], str] = str
        self._is_missed = False
        self._asked: set[asyncio.Task[None]] = set()

    def ask(self) -> None:
        """Reload soon; an error is logged and changes nothing."""
        task = asyncio.get_running_loop().create_task(self.reload(), name="reload")
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def reload(self) -> None:
        """Reload; an error is logged and changes nothing.

        While there can be no reload, it waits: ``catch_up`` makes up for it.
        """
        if (reason := self.refusal_now()) and self._source is not None:
            self._is_missed = True
            _log.warning(
                "reload waits: %(reason)s",
                {"event": "reload-waits", "reason": reason, "file": self._source.file},
            )
            return
        try:
            await self.reload_or_raise()
        except ReloadError as error:
            source = self._source
            _log.error(
                "reload failed: %(reason)s",  # the text says it all
                {
                    "event": "reload-failed",
                    "reason": error,
                    "file": None if source is None else source.file,
                },
            )

    def catch_up(self) -> None:
        """Reload if one was requested while there could be none."""
        if self._is_missed:
            self._is_missed = False
            self.ask()

    async def reload_or_raise(self, *, allows_resets: bool = False) -> list[str]:
        """Reload and return what was done, a line for each step.

        Args:
            allows_resets: Whatever ``reload.resets`` says.

        Raises:
            ReloadError: It has errors, or cannot be read; nothing changed.
        """
        async with self.turn:
            if reason := self.refusal_now():
                raise ReloadError(reason)
            try:
                lines = await self._read_and_apply(allows_resets=allows_resets)
            except ReloadError as error:
                if self._source is not None:
                    self.refusal, self.refused_at = str(error), time.time()
                raise
            self.refusal, self.succeeded_at = "", time.time()
        return capped(lines)

    def warnings(self) -> list[str]:
        """Return a warning that the file was rejected, until one is accepted."""
        if not self.refusal:
            return []
        first, *others = self.refusal.splitlines()
        more = f" (and {len(others)} more lines)" if others else ""
        moment = utc(self.refused_at)
        return [
            f"configuration rejected at {moment}, the previous one stays in force: {first}{more}"
        ]

    async def read_text(self, text: str, name: str) -> "Loaded":
        """Return what a text comes to in place of the file's; nothing changes.

        Raises:
            ReloadError: It has errors, or cannot be read.
        """
        if self._reader is None:
            raise ReloadError(_NO_SOURCE)
        return await self._reader.read(text, name)

    async def _read_and_apply(self, *, allows_resets: bool) -> list[str]:
        settings = await self._read()
        try:
            return await self._apply(settings, allows_resets=allows_resets)
        except Exception as error:
            # Each step has a border of its own: this is an internal error.
            fault = f"{type(error).__name__}: {error}"
            _log.exception(
                "applied only part of the configuration",
                {"event": "reload-incomplete", "reason": fault},
            )
            text = f"applied only in part: {fault}"
            raise ReloadError(text) from error

    async def _read(self) -> DaemonSettings:
        if self._reader is None:
            raise ReloadError(_NO_SOURCE)
        found = await self._reader.read()
        self.files = found.files
        return found.settings

    async def close(self) -> None:
        """Stop whatever is going on."""
        for task in self._asked:
            task.cancel()
        await asyncio.gather(*self._asked, return_exceptions=True)
        if self._reader is not None:
            await self._reader.close()


def _reader(source: "Source") -> "ConfigReader":
    from bgpd.daemon.config_reader import ConfigReader  # noqa: PLC0415  # not every reflector

    return ConfigReader(source)


def capped(lines: list[str]) -> list[str]:
    """Return as many lines as a person may read."""
    more = len(lines) - MAX_LINES
    return lines if more <= 0 else [*lines[:MAX_LINES], f"and {more} more"]
