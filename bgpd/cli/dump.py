"""``pybgpctl dump``: the daemon's tables into an MRT file."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click

from bgpd.api.client import Place
from bgpd.cli.layout import Row
from bgpd.cli.request import ask


@click.command()
@click.option(
    "--write",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    required=True,
    help="Where to; .gz or .bz2 at the end compresses, - is standard output.",
)
@click.option(
    "--family",
    type=click.Choice(["ipv4", "ipv6"]),
    help="Dump only this address family.",
)
@click.pass_obj
def dump(control: Place, file: Path, family: str | None) -> None:
    """Write the daemon's tables to an MRT file (RFC 6396, TABLE_DUMP_V2).

    The file has every accepted path of every peer as import policy left it, at one
    moment. bgpdump and other programs read it. The daemon makes it in small pieces;
    sessions go on meanwhile.
    """
    rows = ask(control, "dump", family=family)
    if str(file) == "-":
        _copy(rows, sys.stdout.buffer)
        return
    try:
        count, size = _write(rows, file)
    except OSError as error:
        place = error.filename or file
        reason = error.strerror or str(error)
        raise click.ClickException(f"{place}: {reason}; nothing was written") from error
    click.echo(f"{file}: {count:,} records, {size:,} octets")


def _write(rows: Iterator[Row], file: Path) -> tuple[int, int]:
    """Write a file, whole or not at all; return its records and octets.

    Raises:
        OSError: It cannot be written.
    """
    from tempfile import NamedTemporaryFile  # noqa: PLC0415  # for this command alone

    with NamedTemporaryFile(
        dir=file.parent, prefix=f".{file.name}.", delete=False
    ) as draft:
        path = Path(draft.name)
        try:
            with _compressed(draft, file.suffix) as output:
                count = _copy(rows, output)
            draft.flush()
            path.chmod(0o644)
            size = path.stat().st_size
            path.replace(file)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
    return count, size


@contextlib.contextmanager
def _compressed(file: IO[bytes], suffix: str) -> Iterator[IO[bytes]]:
    import bz2  # noqa: PLC0415  # for this command alone
    import gzip  # noqa: PLC0415

    if suffix == ".gz":
        with gzip.GzipFile(fileobj=file, mode="wb") as output:
            yield output  # type: ignore[misc]
    elif suffix == ".bz2":
        with bz2.BZ2File(file, "wb") as output:
            yield output
    else:
        yield file


def _copy(rows: Iterator[Row], output: IO[bytes]) -> int:
    from base64 import b64decode  # noqa: PLC0415  # for this command alone

    count = 0
    for row in rows:
        output.write(b64decode(row["octets"]))
        count += row["records"]
    return count
