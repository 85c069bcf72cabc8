"""Reads which peers were up in the previous run (``bgpd.speaker.remembered_peers``). Loads little."""

import logging
import time
from pathlib import Path
from typing import Final

from bgpd.speaker.remembered_peers import MAX_OCTETS, RememberedPeers, decode
from bgpd.texts.files import read_text
from bgpd.texts.limits import TextError

SUFFIX: Final = ".peers"
_STEP_BACK: Final = 60.0  # seconds by which a clock may have been set back meanwhile

_log = logging.getLogger(__name__)


def memory_path(control_path: str) -> Path | None:
    """Return where the file is; ``None`` without a control socket."""
    return Path(control_path).with_suffix(SUFFIX) if control_path else None


def read_memory(path: Path | None, now: float | None = None) -> RememberedPeers | None:
    """Return what the previous run recorded; ``None`` if there is nothing.

    Args:
        path: Of the file.
        now: Of the wall clock; default: the time it is.
    """
    if path is None:
        return None
    try:
        age = (time.time() if now is None else now) - path.lstat().st_mtime
        text = read_text(path, MAX_OCTETS, follows=False)
    except FileNotFoundError:
        return None
    except (OSError, TextError) as error:
        _log.warning(
            "%(file)s: cannot read which peers were up: %(reason)s",
            {"event": "peer-memory-unreadable", "file": path, "reason": error},
        )
        return None
    found = decode(text, max(0.0, age)) if age >= -_STEP_BACK else None
    if found is None:
        _log.warning(
            "%(file)s: cannot read which peers were up: %(reason)s",
            {
                "event": "peer-memory-unreadable",
                "file": path,
                "reason": "the file is damaged",
            },
        )
    return found
