"""Messages between the daemon and its worker: pickled values, each after its length."""

import pickle
from enum import IntEnum
from struct import Struct
from typing import Final

HEADER: Final = Struct("!BI")  # kind, octets that follow
MAX_FRAME: Final = 64 << 20  # octets; more cannot be one of our frames


class Kind(IntEnum):
    """What a frame is."""

    CALL = 0
    PIECE = 1
    DONE = 2
    FAULT = 3


def encode(kind: Kind, value: object = None) -> bytes:
    """Return one frame."""
    body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(kind, len(body)) + body
