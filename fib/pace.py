"""When to check next hops again that our own routes lead to. Pure.

At once, as a rule. Where routes and the next hops that they lead to keep changing each
other, or a peer changes such a route all the time, a look is due a few times a second: that
does not delay other work.
"""

from collections import deque
from typing import Final

BURST: Final = 64  # looks that are made at once
WINDOW: Final = 5.0  # seconds in which these count
PAUSE: Final = 0.25  # seconds between looks after that


class Pace:
    """Remembers the last looks."""

    def __init__(self) -> None:
        self._looks: deque[float] = deque(maxlen=BURST)

    def pause(self, now: float) -> float:
        """Note a look; return after how many seconds it is made."""
        looks = self._looks
        is_busy = len(looks) == BURST and now - looks[0] < WINDOW
        pause = PAUSE if is_busy else 0.0
        looks.append(now + pause)
        return pause
