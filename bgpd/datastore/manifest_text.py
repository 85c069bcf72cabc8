"""Objects of the cluster in a text that a client sends, read in a process of its own."""

from collections.abc import Iterator
from contextlib import aclosing
from typing import Final

from bgpd.datastore.manifests import Entry, parse
from bgpd.worker.worker import Worker, WorkerError

PIECE: Final = 32  # objects, some 100 KiB
SHOWN: Final = 20  # findings in an error


class ManifestTextError(Exception):
    """A text has no objects, or bad ones; a line for each finding."""


def parse_in_pieces(text: str) -> Iterator[tuple[Entry, ...] | str]:
    """Yield the objects of a text, some at a time; or what is wrong with it."""
    parsed = parse(text)
    if parsed.warnings or not parsed.is_whole:
        yield "\n".join(f"line {line}: {why}" for line, why in parsed.warnings[:SHOWN])
        return
    for start in range(0, len(parsed.entries), PIECE):
        yield parsed.entries[start : start + PIECE]


async def read_objects(text: str, name: str) -> dict[str, bytes]:
    """Return the objects of a text by their keys.

    Args:
        text: YAML or JSON.
        name: What errors call it.

    Raises:
        ManifestTextError: It has none, or a bad one.
    """
    worker, items = Worker(), dict[str, bytes]()
    try:
        async with aclosing(worker.pieces(parse_in_pieces, text)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    lines = piece.splitlines() or ["cannot be read"]
                    raise ManifestTextError(
                        "\n".join(f"{name}: {each}" for each in lines)
                    )
                items |= {entry.key: entry.value for entry in piece}
    except WorkerError as error:
        raise ManifestTextError(f"{name}: {error}") from error
    finally:
        await worker.close()
    if not items:
        raise ManifestTextError(f"{name}: there is no object of the cluster in it")
    return items
