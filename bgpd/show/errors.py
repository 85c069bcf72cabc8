"""``show errors``: the malformed UPDATEs that are kept, octets included."""

from collections.abc import Iterator
from typing import Final

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.pipeline.update_errors import MalformedUpdate
from bgpd.show.state import DaemonView, find_limit, find_peer
from bgpd.texts.moments import utc_with_microseconds
from bgpd.wire.errors import ErrorCode
from bgpd.wire.framing import MessageType, encode_message
from rib.attributes.scoped import SCOPED
from rib.attributes.table import TABLE
from rib.errors import Problem, Remedy

_YIELD_AFTER: Final = 32  # rows, of 64 KiB each at most


def errors(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return the malformed UPDATEs that are kept, the oldest first; with ``limit`` the newest so many.

    Raises:
        ControlError: ``no-such-peer``, ``bad-argument``, or ``errors-off`` where none are kept.
    """
    limit = find_limit(arguments)
    kept = view.speaker.context.malformed_updates
    if not kept.is_on:
        raise ControlError(
            "errors-off",
            "no malformed UPDATEs are kept: journal.max_malformed_updates or "
            "journal.max_malformed_octets is 0",
        )
    found = kept.all()
    asked = arguments.get("peer")
    if asked is not None:
        found = [
            each for each in found if asked in (each.peer, each.ends.remote_address)
        ]
        if not found:
            find_peer(view.speaker, asked)  # one that is gone may have left some
    if limit is not None:
        found = found[-limit:]
    return _rows(found)


def _rows(found: list[MalformedUpdate]) -> Iterator[Row | None]:
    for count, update in enumerate(found, 1):
        yield _row(update)
        if count % _YIELD_AFTER == 0:
            yield None


def _row(update: MalformedUpdate) -> Row:
    ends, worst = update.ends, update.worst
    octets = encode_message(MessageType.UPDATE, update.body)
    is_reset = worst.remedy is Remedy.SESSION_RESET
    return {
        "id": update.number,
        "time": utc_with_microseconds(update.at),
        "peer": update.peer,
        "address": ends.remote_address,
        "local_address": ends.local_address,
        "local_port": ends.local_port,
        "remote_port": ends.remote_port,
        "is_outgoing": ends.is_outgoing,
        **_problem_row(worst),
        "notification": f"{int(ErrorCode.UPDATE)}/{worst.subcode}"
        if is_reset
        else None,
        "problems": [_problem_row(problem) for problem in update.problems],
        "length": len(octets),
        "octets": octets.hex(),
    }


def _problem_row(problem: Problem) -> Row:
    return {
        "remedy": problem.remedy.name.lower().replace("_", "-"),
        "attribute": _attribute_name(problem.type_code),
        "reason": problem.text,
    }


def _attribute_name(code: int) -> str | None:
    if not code:
        return None
    row = TABLE.get(code) or SCOPED.get(code)
    return f"attribute {code}" if row is None else row.name
