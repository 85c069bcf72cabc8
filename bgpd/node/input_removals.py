"""Implausible removals of passwords, services and local workloads."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from bgpd.calico.plausible import SECRETS, SideRules
from bgpd.calico.removal_inventory import Count
from bgpd.calico.removals import RemovalGuard
from bgpd.datastore.guarded import LATE, LISTEN, log_notes


class InputRemovals:
    """Decides whether a removal takes effect now, and when a held one does.

    Keys are those of ``bgpd.calico.plausible.SideRules``.

    Args:
        hold_time: Seconds for which implausible removals are held; 0 holds none.
        release: Takes the keys of removals that count from now on.

    Attributes:
        removals: What is kept apart.
    """

    title: Final = "kubernetes"

    def __init__(
        self, hold_time: float, release: Callable[[Iterable[str]], None]
    ) -> None:
        self._rules = SideRules()
        self.removals = RemovalGuard[object](self._rules, hold_time)
        self._release = release
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._has_listened = False

    def put(self, key: str, value: object = None) -> None:
        """Note an object that exists."""
        self.removals.put(key, value, self._now())
        self._arm()

    def remove(self, key: str) -> bool:
        """Note a removal; return whether it counts now."""
        counts_now = self.removals.remove(key, self._now())
        self._arm()
        return counts_now

    def doubt(self) -> None:
        """Take what was removed a moment ago for lost."""
        self.removals.doubt()

    def forget(self, key: str) -> None:
        """Drop an object that is no longer needed."""
        self.removals.forget(key, self._now())
        self._arm()

    def need(self, passwords: frozenset[str]) -> None:
        """Set the keys of the passwords that sessions use."""
        if passwords != self._rules.needed:
            self._rules.needed = passwords
            self.removals.reconsider(SECRETS, self._now())
            self._arm()

    def describe(self, key: str) -> str:
        """Return where an object stood, for people."""
        return key

    def confirm(self) -> tuple[Count, ...]:
        """Apply all held removals and return them."""
        counts = self.removals.confirm(self._now())
        self._arm()
        return counts

    def set_hold_time(self, seconds: float) -> None:
        """Change the hold time."""
        self.removals.set_hold_time(seconds)
        self._arm()

    def close(self) -> None:
        """Stop waiting."""
        if self._timer is not None:
            self._timer.cancel()

    def _now(self) -> float:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop.time()

    def _arm(self) -> None:
        """Wake up when something is due."""
        due = self.removals.due
        if self._timer is not None:
            if self._timer.when() == due and not self._timer.cancelled():
                return
            self._timer.cancel()
            self._timer = None
        if due is not None and self._loop is not None:
            self._timer = self._loop.call_at(due, self._advance)

    def _advance(self) -> None:
        due, self._timer = self.removals.due, None
        is_late = due is not None and self._now() > due + LATE
        if is_late and not self._has_listened and self._loop is not None:
            self._has_listened = True  # the process stood still: hear first
            self._timer = self._loop.call_later(LISTEN, self._advance)
            return
        self._has_listened = False
        released = self.removals.advance(self._now())
        log_notes(self.title, self.removals.drain_notes())
        self._arm()
        if released:
            self._release([key for key, _ in released])
