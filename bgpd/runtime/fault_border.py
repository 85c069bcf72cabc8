"""Contains the internal error of one part: the others go on, and the log reports it.

A fault behind a border is a bug that some object of the cluster, or some answer of the
kernel, has brought to light. The part keeps its previous state, which for routing is nearly always
better than an end of the daemon, on every node at once.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)


class FaultBorder:
    """Catches exceptions of the daemon's parts.

    Attributes:
        faults: The present error of each failed part.
        counts: How often each part has failed.
    """

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    @contextmanager
    def around(self, part: str) -> Iterator[None]:
        """Catch what is raised inside; without an exception the part is healthy again."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # that is what a border is for
            self.note(part, error)
        else:
            self.faults.pop(part, None)

    def note(self, part: str, error: Exception) -> None:
        """Log an error, once for as long as it is the same."""
        text = f"{type(error).__name__}: {error}"
        self.counts[part] += 1
        if self.faults.get(part) != text:
            self.faults[part] = text
            _log.error(
                "%(part)s keeps its previous state: %(reason)s",
                {"event": "part-failed", "part": part, "reason": text},
                exc_info=error,
            )

    def warnings(self) -> list[str]:
        """Return a line for each failed part."""
        return [
            f"{part} keeps its previous state: {text}"
            for part, text in self.faults.items()
        ]
