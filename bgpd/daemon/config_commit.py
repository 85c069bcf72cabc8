"""A configuration that is sent, planned, applied and confirmed; or taken back.

Theory
------
A file that is edited in place has two faults: its editor does not see what it will do, and a mistake that cuts
the operator off stays. So a configuration can be sent: planned, which changes nothing, or applied,
where the daemon's own file is written last.

        apply ----------------------------> in force --> file written
        apply --confirm SECONDS --> in force, unconfirmed --confirm--> file written
                                         |
                                         +--rollback, or time is up--> as before

Invariants:

* The file changes only once a configuration is in force and confirmed. A daemon that ends while a
  confirmation is due starts with the file as it was: as if it had gone back.
* Whether the file can be written is known before anything changes: the new text is beside it by
  then.
* Nothing is lost that someone else wrote meanwhile: a file that is not what it was when the
  configuration was applied is not replaced.
* While a confirmation is due, no other configuration is put in force: commands are refused, and a
  signal or a changed file waits until it is decided.
* It goes on without its client: an applied configuration is a task of the daemon.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from bgpd.api.protocol import ControlError
from bgpd.config.settings import DaemonSettings
from bgpd.daemon.config_reload import ConfigReload, SettingsInForce, capped
from bgpd.daemon.errors import ReloadError
from bgpd.daemon.transition import ConfigPlan, Transition
from bgpd.daemon.uploads import Uploads
from bgpd.texts.moments import utc
from bgpd.texts.replacement import Replacement
from bgpd.texts.stamps import Stamps, stamps

SHOWN: Final = 100  # steps that wait for consent, in an answer

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Unconfirmed:
    """An applied configuration whose confirmation is due.

    Attributes:
        before: The settings to go back to.
        former: The file's stamps when it was applied.
        draft: The text, beside the file.
        until: Wall clock, seconds.
        timer: Goes back.
    """

    before: DaemonSettings
    former: Stamps
    draft: Replacement
    until: float
    timer: asyncio.TimerHandle


class ConfigCommit:
    """Plans and applies configurations that clients send.

    Args:
        reload: Reads texts, and is held back while a confirmation is due.
        transition: Puts settings in force.
        file: The daemon's own; ``None`` without one.

    Attributes:
        is_planning: A plan is being worked out: one at a time.
        uploads: Long texts that clients send in pieces.
    """

    def __init__(
        self, reload: ConfigReload, transition: Transition, file: Path | None
    ) -> None:
        self._reload = reload
        self._transition = transition
        self._file = file
        self.is_planning = False
        self.uploads = Uploads()
        self._due: _Unconfirmed | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        reload.refusal_now = self._why_not_now

    @property
    def held_count(self) -> int:
        """Changes that end sessions and wait for consent."""
        return len(self.in_force.held)

    @property
    def is_confirmed(self) -> bool:
        """Whether no applied configuration waits for confirmation."""
        return self._due is None

    @property
    def in_force(self) -> SettingsInForce:
        """The settings in force."""
        return self._transition.in_force

    def row(self) -> dict[str, Any]:
        """Return the state of the configuration, as JSON has it."""
        reload, in_force = self._reload, self._transition.in_force
        return {
            "files": list(map(str, reload.files)),
            "read_at": utc(reload.succeeded_at),
            "rejected": reload.refusal or None,
            "rejected_at": utc(reload.refused_at) if reload.refusal else None,
            "pending_keys": list(in_force.pending),
            "held": list(map(str, in_force.held[:SHOWN])),
            "confirm_until": None if self._due is None else utc(self._due.until),
        }

    def warnings(self) -> list[str]:
        """Return warnings that a confirmation is due, and about what waits."""
        lines = self.in_force.warnings()
        if self._due is not None:
            until = utc(self._due.until)
            lines.append(
                "the configuration in force is not confirmed: it is taken back at "
                f"{until} (pybgpctl confirm, pybgpctl rollback)"
            )
        return lines

    def _why_not_now(self) -> str:
        if self._due is None:
            return ""
        return (
            f"a confirmation is due until {utc(self._due.until)}: pybgpctl confirm or "
            "pybgpctl rollback first"
        )

    # -- commands -------------------------------------------------------------------------

    async def plan(
        self, text: str, name: str, most: int, *, allows_resets: bool
    ) -> ConfigPlan:
        """Return what a configuration would do; nothing changes.

        Args:
            text: The whole file.
            name: What errors call it.
            most: So many prefixes are named of each kind of change.
            allows_resets: Whatever ``reload.resets`` says.

        Raises:
            ControlError: ``bad-configuration``.
        """
        settings = await self._read(text, name)
        return await self._transition.plan(settings, most, allows_resets=allows_resets)

    async def plan_objects(self, text: str, name: str, most: int) -> ConfigPlan:
        """Return what objects of the cluster would do, were they in the datastore.

        Args:
            text: YAML or JSON, over what the datastore has.
            name: What errors call it.
            most: So many prefixes are named of each kind of change.

        Raises:
            ControlError: ``bad-objects`` or ``no-datastore``.
        """
        from bgpd.datastore.manifest_text import (  # noqa: PLC0415  # for this alone
            ManifestTextError,
            read_objects,
        )

        try:
            items = await read_objects(text, name or "the text")
            return await self._transition.plan_objects(items, most)
        except ManifestTextError as error:
            raise ControlError("bad-objects", str(error)) from error
        except LookupError as error:
            raise ControlError("no-datastore", str(error)) from error

    async def apply(
        self, text: str, name: str, confirm: int, *, allows_resets: bool
    ) -> list[str]:
        """Put a configuration in force; return what was done.

        Args:
            text: The whole file.
            name: What errors call it.
            confirm: Seconds after which it is taken back unless confirmed; 0 writes the
                file at once.
            allows_resets: Whatever ``reload.resets`` says.

        Raises:
            ControlError: Nothing has changed, or only in part; the text says which.
        """
        return await self._shielded(
            self._apply(text, name, confirm, allows_resets=allows_resets)
        )

    async def _apply(
        self, text: str, name: str, confirm: int, *, allows_resets: bool
    ) -> list[str]:
        settings = await self._read(text, name)
        file = self._file
        if file is None:
            raise ControlError(
                "no-file", "the daemon was started without a file to keep this in"
            )
        async with self._reload.turn:
            if self._due is not None:
                raise ControlError("confirmation-due", self._why_not_now())
            before, former = self._transition.in_force.settings, stamps([file])
            draft = await self._draft(file, text)
            try:
                lines = await self._transition.put_in_force(
                    settings, allows_resets=allows_resets
                )
            except Exception as error:
                fault = f"{type(error).__name__}: {error}"
                _log.exception(
                    "applied only part of the configuration",
                    {"event": "reload-incomplete", "reason": fault},
                )
                await self._transition.put_in_force(before, allows_resets=True)
                await asyncio.to_thread(draft.discard)
                text = f"applied only in part, and taken back: {fault}"
                raise ControlError("not-applied", text) from error
            if confirm:
                return [*capped(lines), self._begin(before, former, draft, confirm)]
            await self._put(draft, former)
        _log.info(
            "configuration applied and written to %(file)s",
            {"event": "configuration-applied", "file": file},
        )
        return [*capped(lines), f"{file} has been written"]

    def _begin(
        self,
        before: DaemonSettings,
        former: Stamps,
        draft: Replacement,
        seconds: int,
    ) -> str:
        loop, until = asyncio.get_running_loop(), time.time() + seconds
        timer = loop.call_later(seconds, self._expired)
        self._due = _Unconfirmed(before, former, draft, until, timer)
        _log.warning(
            "configuration applied; taken back at %(until)s unless it is confirmed",
            {"event": "configuration-unconfirmed", "until": utc(until)},
        )
        return f"confirm within {seconds} s, until {utc(until)}: pybgpctl confirm"

    async def confirm(self) -> list[str]:
        """Confirm what was applied: the file is written.

        Raises:
            ControlError: ``nothing-to-confirm``, or the file cannot be written; then what
                was applied is still taken back in time.
        """
        return await self._shielded(self._confirm())

    async def _confirm(self) -> list[str]:
        async with self._reload.turn:
            due = self._due
            if due is None:
                raise ControlError("nothing-to-confirm", "no confirmation is due")
            await self._put(due.draft, due.former)
            due.timer.cancel()
            self._due = None
        _log.info(
            "configuration confirmed and written to %(file)s",
            {"event": "configuration-confirmed", "file": self._file},
        )
        self._reload.catch_up()
        return [f"confirmed; {self._file} has been written"]

    async def rollback(self) -> list[str]:
        """Go back to what held before a configuration was applied.

        Raises:
            ControlError: ``nothing-to-roll-back``.
        """
        return await self._shielded(self._rollback("on request"))

    async def _rollback(self, why: str) -> list[str]:
        async with self._reload.turn:
            due = self._due
            if due is None:
                raise ControlError(
                    "nothing-to-roll-back",
                    "no confirmation is due: nothing to go back from",
                )
            due.timer.cancel()
            lines = await self._transition.put_in_force(due.before, allows_resets=True)
            await asyncio.to_thread(due.draft.discard)
            self._due = None
        _log.warning(
            "configuration taken back: %(reason)s",
            {"event": "configuration-taken-back", "reason": why},
        )
        self._reload.catch_up()
        return [*capped(lines), "taken back: the configuration before it is in force"]

    def _expired(self) -> None:
        _ = self._keep(self._rollback("not confirmed in time"))

    # -- parts ----------------------------------------------------------------------------

    async def _read(self, text: str, name: str) -> DaemonSettings:
        try:
            return (await self._reload.read_text(text, name)).settings
        except ReloadError as error:
            raise ControlError("bad-configuration", str(error)) from error

    @staticmethod
    async def _draft(file: Path, text: str) -> Replacement:
        try:
            return await asyncio.to_thread(
                Replacement, file, text.encode("utf-8", "surrogateescape")
            )
        except OSError as error:
            reason = error.strerror or str(error)
            raise ControlError(
                "not-writable", f"cannot write {file}: {reason}; nothing has changed"
            ) from error

    async def _put(self, draft: Replacement, former: Stamps) -> None:
        """Write the file, unless someone else has meanwhile.

        Raises:
            ControlError: It cannot be written.
        """
        file = self._file
        if file is None or stamps([file]) != former:
            raise ControlError(
                "file-changed",
                f"{file} was changed by someone else after the configuration was sent, and "
                "is left as it is",
            )
        try:
            await asyncio.to_thread(draft.put)
        except OSError as error:
            reason = error.strerror or str(error)
            text = f"in force, but {file} cannot be written: {reason}"
            raise ControlError("not-written", text) from error

    async def _shielded(self, work: Awaitable[T]) -> T:
        """Do some work to its end, though the client may go."""
        return await asyncio.shield(self._keep(work))

    def _keep(self, work: Awaitable[T]) -> "asyncio.Task[T]":
        async def done() -> T:
            return await work

        task = asyncio.get_running_loop().create_task(done(), name="configuration")
        self._tasks.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ControlError):
            _log.error(
                "taking the configuration back failed: %(reason)s",
                {"event": "reload-incomplete", "reason": error},
                exc_info=error,
            )

    async def close(self) -> None:
        """End; the file stays what it is, so the next start takes back what is not confirmed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._due is not None:
            self._due.timer.cancel()
            await asyncio.to_thread(self._due.draft.discard)
            self._due = None
