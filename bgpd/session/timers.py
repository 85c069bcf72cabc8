"""Timers of a session: deadlines as numbers, their lengths, jitter and back-off.

Jitter is RFC 4271 section 10: an interval is multiplied by a random factor of 0.75 to 1.
"""

from enum import IntEnum, unique
from random import Random
from types import MappingProxyType
from typing import Final

from bgpd.session.fsm import Event

LARGE_HOLD_TIME: Final = (
    240.0  # seconds until the peer's OPEN must be there, RFC 4271 8.2.2
)
MIN_KEEPALIVE_TIME: Final = 1.0  # seconds; RFC 4271 4.4: never more than one a second
MIN_SEND_HOLD_TIME: Final = 480.0  # seconds, RFC 9687 4.2
MIN_CONNECT_RETRY_TIME: Final = 1.0  # seconds, whatever is configured
MAX_CONNECT_RETRY_TIME: Final = 60.0
"""Seconds: back-off goes no further, unless configured. A node that boots is seen within a
minute even when it cannot connect to us."""
MOST_DOUBLINGS: Final = 16
"""Back-off is bounded before it is multiplied: after days of failures, 2.0 to the power of
their number no longer fits a float."""
FIRST_IDLE_HOLD_TIME: Final = 1.0
"""Seconds, unless configured; doubled with each failure in a row."""
MAX_IDLE_HOLD_TIME: Final = 60.0
"""Seconds: DampPeerOscillations (RFC 4271 8.1.1) waits no longer. BIRD waits up to 300 s;
we hold a peer in Idle for less, since what makes us do so is mostly repaired by hand."""
UNREAD_WAIT: Final = 1.0
"""Seconds for which a peer's silence is not judged while octets of its wait unread. They
are read in turns, and thousands of peers may be before it; then this is asked again."""
STABLE_TIME: Final = (
    30.0  # seconds established after which former failures are forgotten
)


@unique
class Timer(IntEnum):
    """The timers of a connection."""

    CONNECT_RETRY = 1
    HOLD = 2
    KEEPALIVE = 3
    DELAY_OPEN = 4
    SEND_HOLD = 5


SILENCES: Final = (Timer.CONNECT_RETRY, Timer.HOLD, Timer.DELAY_OPEN)
"""Timers that the peer's next octets stop or restart: not to be judged before those are
received. RFC 9687 lets nothing that the peer says excuse that it takes nothing."""
LISTENING: Final = (Timer.HOLD, Timer.DELAY_OPEN, Timer.SEND_HOLD)
"""Timers that measure what the peer does while we listen and write."""

EXPIRY: Final = MappingProxyType(
    {
        Timer.CONNECT_RETRY: Event.CONNECT_RETRY_TIMER_EXPIRES,
        Timer.HOLD: Event.HOLD_TIMER_EXPIRES,
        Timer.KEEPALIVE: Event.KEEPALIVE_TIMER_EXPIRES,
        Timer.DELAY_OPEN: Event.DELAY_OPEN_TIMER_EXPIRES,
        Timer.SEND_HOLD: Event.SEND_HOLD_TIMER_EXPIRES,
    }
)
"""The event that each timer's end is."""


def jittered(interval: float, rng: Random) -> float:
    """Return ``interval`` (seconds) times a factor of 0.75 to 1 (RFC 4271 10)."""
    return interval * rng.uniform(0.75, 1.0)


def connect_retry_interval(
    base: float, attempts: int, rng: Random, longest: float = 0
) -> float:
    """Return seconds until the next attempt.

    Args:
        base: Seconds after the first failure.
        attempts: How many failed in a row before that; each doubles the interval.
        rng: For jitter.
        longest: Seconds at which doubling ends, never less than ``base``; 0 is
            ``MAX_CONNECT_RETRY_TIME``.
    """
    base = max(base, MIN_CONNECT_RETRY_TIME)
    longest = max(base, longest or MAX_CONNECT_RETRY_TIME)
    return jittered(min(base * 2.0 ** min(attempts, MOST_DOUBLINGS), longest), rng)


def idle_hold_interval(
    failures: int, rng: Random, first: float = 0, longest: float = 0
) -> float:
    """Return seconds in Idle after ``failures`` in a row; 0 after an orderly end.

    Args:
        failures: How many.
        rng: For jitter.
        first: Seconds after the first; 0 is ``FIRST_IDLE_HOLD_TIME``.
        longest: Seconds at which doubling ends, never less than ``first``; 0 is
            ``MAX_IDLE_HOLD_TIME``.
    """
    if failures == 0:
        return 0.0
    first = first or FIRST_IDLE_HOLD_TIME
    interval = first * 2.0 ** min(failures - 1, MOST_DOUBLINGS)
    return jittered(min(interval, max(first, longest or MAX_IDLE_HOLD_TIME)), rng)


def keepalive_interval(keepalive_time: float, rng: Random) -> float:
    """Return seconds until the next KEEPALIVE; jitter never makes it less than one."""
    return max(MIN_KEEPALIVE_TIME, jittered(keepalive_time, rng))


def send_hold_interval(configured: float, hold_time: float) -> float:
    """Return seconds without progress of sending after which the session ends."""
    return configured or max(MIN_SEND_HOLD_TIME, 2 * hold_time)
