"""Session messages seen in the field and in other suites: decoded, or refused as the RFC
says. The collection is not part of the project; it lies beside the checkout, or where
PYBGPD_VECTORS points."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgpd.session.fsm import State
from bgpd.wire.errors import NotifyError
from bgpd.wire.framing import MAX_EXTENDED_MESSAGE_LEN, Framer
from bgpd.wire.notification import decode_notification
from bgpd.wire.open import decode_open
from bgpd.wire.route_refresh import decode_route_refresh
from rib.nlri import format_address
from tests.support.cases import cases
from tests.support.session_pair import session

BESIDE = Path(__file__).parents[3].parent / "shared" / "vectors"
FOLDER = Path(os.environ.get("PYBGPD_VECTORS", BESIDE))
KINDS = ("OPEN", "NOTIFICATION", "ROUTE-REFRESH", "KEEPALIVE")
DECODERS: dict[int, Callable[[bytes], object]] = {
    1: decode_open,
    3: decode_notification,
    4: bytes,
    5: lambda body: decode_route_refresh(body, has_enhanced=True),
}

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the collection of field messages is not here"
)


def records(name: str) -> list[dict[str, Any]]:
    path = FOLDER / name
    if not path.is_file():
        return []
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


GOOD = [r for r in records("updates.jsonl.gz") if r["kind"] in KINDS]
BAD = [r for r in records("malformed.jsonl.gz") if r["kind"] != "UPDATE"]
FIRM = [
    r
    for r in BAD
    if r["verdict"].get("firm_notification")
    and r["kind"] in ("OPEN", "NOTIFICATION", "KEEPALIVE")
]


def outcome(stream: bytes) -> tuple[list[Any], NotifyError | None]:
    framer = Framer(MAX_EXTENDED_MESSAGE_LEN)
    found: list[Any] = []
    for kind, body in framer.feed(stream):
        try:
            found.append(DECODERS[kind](body) if kind in DECODERS else body)
        except NotifyError as error:
            return found, error
    return found, framer.error


@cases("record", GOOD, ids=lambda r: r["id"])
def test_good_messages_decode_or_are_rejected(record) -> None:
    found, error = outcome(bytes.fromhex(record["hex"]))
    assert (len(found) == 1) != (error is not None)
    expected = record.get("open")
    if expected is None or not found:
        return
    [message] = found
    summary = expected["summary"]
    caps = message.capabilities
    assert message.hold_time == expected["hold"]
    assert format_address(message.router_id.to_bytes(4, "big")) == expected["id"]
    assert caps.four_octet_as == summary["asn4"]
    assert caps.has_route_refresh == (2 in summary["codes"])  # not Cisco's old 128
    assert caps.has_enhanced_refresh == summary["err"]
    assert caps.has_extended_message == summary["extmsg"]
    assert (caps.graceful_restart is not None) == summary["gr"]
    assert (caps.long_lived is not None) == summary["llgr"]


@cases("record", BAD, ids=lambda r: r["id"])
def test_bad_messages_are_survived_in_every_state(record) -> None:
    stream = bytes.fromhex(record["hex"])
    good = next(r for r in GOOD if r["kind"] == "OPEN" and r["open"]["version"] == 4)
    for before in (b"", bytes.fromhex(good["hex"])):
        made = session(1, remote_as=0)
        made.start(0.0)
        made.connection_made(1, "a", "b", 0.0, is_outgoing=True)
        made.receive_data(1, before + stream, 0.0)
        assert made.state in State


@cases("record", FIRM, ids=lambda r: r["id"])
def test_firm_verdicts_are_ours(record) -> None:
    _, error = outcome(bytes.fromhex(record["hex"]))
    assert error is not None
    assert [error.code, error.subcode] == record["verdict"]["firm_notification"]
