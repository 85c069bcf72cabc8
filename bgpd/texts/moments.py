"""Moments of the wall clock, as people and programs read them."""

import time


def utc(seconds: float) -> str:
    """Return a moment in UTC, as RFC 3339 has it.

    Args:
        seconds: Since the epoch.
    """
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
