"""Messages from the field, kept beside the checkout; what they say, for assertions."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

Record = dict[str, Any]


def vectors_folder() -> Path | None:
    for folder in Path(__file__).resolve().parents:
        found = folder / "shared" / "vectors"
        if found.is_dir():
            return found
    return None


@cache
def load(name: str) -> list[Record]:
    """Return the records of ``name``; an empty list where the folder is absent."""
    folder = vectors_folder()
    if folder is None:
        return []
    with gzip.open(folder / name, "rt") as lines:
        return [json.loads(line) for line in lines]


needs_vectors = pytest.mark.skipif(
    vectors_folder() is None, reason="shared/vectors is not beside the checkout"
)


def divide_update(message: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return ``(withdrawn, attributes, nlri)`` of a whole message with its header.

    ``None`` where the lengths do not fit: that is for the message codec to refuse.
    """
    body = message[19:]
    if len(message) < 23 or message[18] != 2:
        return None
    withdrawn_end = 2 + int.from_bytes(body[:2], "big")
    if withdrawn_end + 2 > len(body):
        return None
    start = withdrawn_end + 2
    end = start + int.from_bytes(body[withdrawn_end:start], "big")
    if end > len(body):
        return None
    return body[2:withdrawn_end], body[start:end], body[end:]
