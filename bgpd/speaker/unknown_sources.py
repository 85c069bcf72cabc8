"""Whom we have refused lately, so that the log has a line for each and not for each knock."""

from typing import Final

LOG_INTERVAL: Final = 60.0  # seconds between lines about one stranger
_MAX_KNOWN: Final = 1024  # a flood of addresses may cost log lines, no memory


class UnknownSources:
    """Addresses of unknown peers, and when each is worth a log line again."""

    def __init__(self) -> None:
        self._quiet_until: dict[str, float] = {}

    def is_news(self, address: str, now: float) -> bool:
        """Whether a connection from ``address`` at ``now`` is worth a line; remember it."""
        if now < self._quiet_until.get(address, now):
            return False
        if len(self._quiet_until) >= _MAX_KNOWN:
            self._quiet_until.clear()
        self._quiet_until[address] = now + LOG_INTERVAL
        return True
