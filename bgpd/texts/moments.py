"""Moments of the wall clock, as people and programs read them."""

import time


def utc(seconds: float) -> str:
    """Return a moment in UTC, as RFC 3339 has it.

    Args:
        seconds: Since the epoch.
    """
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def utc_with_milliseconds(seconds: float) -> str:
    """Return a moment as ``utc`` does, to the millisecond below."""
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{utc(whole)[:-1]}.{milliseconds:03d}Z"


def utc_with_microseconds(seconds: float) -> str:
    """Return a moment as ``utc`` does, to the microsecond below."""
    whole, microseconds = divmod(int(seconds * 1_000_000), 1_000_000)
    return f"{utc(whole)[:-1]}.{microseconds:06d}Z"
