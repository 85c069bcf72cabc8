"""MRT as others read it: mrtparse, and Debian's bgpdump."""

import io
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import mrtparse
import pytest

# Its import makes SIGPIPE end the process, and a test that writes to a client that has gone would
# end them all.
signal.signal(signal.SIGPIPE, signal.SIG_IGN)

needs_bgpdump = pytest.mark.skipif(
    shutil.which("bgpdump") is None, reason="bgpdump is not installed"
)
_TOOL_FIELDS: Final = 14


def parsed(octets: bytes) -> list[dict[str, Any]]:
    """Return records as mrtparse reads them; the stream must end with the last of them."""
    found = []
    for record in mrtparse.Reader(io.BytesIO(octets)):
        assert record.err is None, record.err_msg
        found.append(record.data)
    return found


def number_of(field: dict[int, str]) -> int:
    """Return the number of a field that mrtparse shows with its name."""
    (number,) = field
    return number


def value_of(attributes: list[dict[str, Any]], code: int) -> Any:
    """Return the value of an attribute; ``None`` where it is missing."""
    for each in attributes:
        if number_of(each["type"]) == code:
            return each["value"]
    return None


def lines_of(file: Path | str) -> Iterator[list[str]]:
    """Yield bgpdump's lines, cut at the bars."""
    done = subprocess.run(
        ["bgpdump", "-m", "-v", str(file)], capture_output=True, text=True, check=True
    )
    assert "error" not in done.stderr.lower(), done.stderr
    for line in done.stdout.splitlines():
        yield line.split("|")
