"""Logs problems with the cluster's objects: only news, and by kind.

One mistake of a template makes thousands of findings at once. They get one line, with a few
names; all of them are shown by ``pybgpctl calico diff``.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from bgpd.calico.keys import split_affinity_key, split_resource_key
from bgpd.calico.warnings import ObjectWarning
from bgpd.runtime.log_setup import alike

SHOWN: Final = 3  # findings of one kind that are shown each by itself
GATHER_TIME: Final = 2.0  # seconds
TEXT_LIMIT: Final = 500  # characters of one finding

_log = logging.getLogger(__name__)


class WarningLog:
    """Remembers what was logged, and gathers what follows soon.

    Args:
        describe: Returns where a field of an object stands, by its key (``Datastore``).

    Attributes:
        gather_time: Seconds after a line in which no other is logged.
    """

    def __init__(self, describe: Callable[[str, str], str]) -> None:
        self._describe = describe
        self.gather_time = GATHER_TIME
        self._now: frozenset[ObjectWarning] = frozenset()
        self._said: frozenset[ObjectWarning] = frozenset()
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, now: frozenset[ObjectWarning]) -> None:
        """Log new and resolved problems."""
        self._now = now
        if self._timer is None:
            self._say()

    def close(self) -> None:
        """Log what is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._say_news()

    def _say(self) -> None:
        self._timer = None
        if self._say_news():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.gather_time, self._say)

    def _say_news(self) -> bool:
        now, before = self._now, self._said
        self._said = now
        _say(now - before, self._describe)
        _say(before - now, self._describe, is_resolved=True)
        return now != before


def _say(
    findings: Iterable[ObjectWarning],
    describe: Callable[[str, str], str],
    *,
    is_resolved: bool = False,
) -> None:
    kinds: dict[tuple[str, str], list[ObjectWarning]] = {}
    for finding in findings:
        kinds.setdefault((_kind(finding.key), finding.field), []).append(finding)
    for (kind, field), some in sorted(kinds.items()):
        what = f"{kind} {field}".rstrip()
        has_more = len(some) > SHOWN
        for found in sorted(some)[: 1 if has_more else SHOWN]:
            text = _short(f"{describe(found.key, found.field)}: {found.text}")
            if has_more:
                text = f"{len(some)} of {what}, such as {text}"
            # An object that is rewritten again and again is news once.
            _log.log(
                logging.INFO if is_resolved else logging.WARNING,
                "datastore: resolved: %(reason)s"
                if is_resolved
                else "datastore: %(reason)s",
                {
                    "event": "object-resolved" if is_resolved else "object-warning",
                    "kind": kind,
                    "key": found.key,
                    "field": field,
                    "reason": text,
                    "count": len(some) if has_more else 1,
                },
                extra=alike("event kind field", "reason"),
            )


def _kind(key: str) -> str:
    named = split_resource_key(key)
    if named is not None:
        return named[0]
    if split_affinity_key(key) is not None:
        return "block affinities"
    word, _, name = key.partition(" ")
    return word if name else "other keys"


def _short(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}..."
