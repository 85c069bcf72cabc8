"""Malformed and hostile UPDATEs from the field get RFC 7606's remedy, and are survived.

Where an outside suite and BIRD agree on a remedy it is asserted; the rest must not crash,
nor give attributes together with a remedy that withdraws.
"""

import pytest

from rib.attributes import AttributeContext, DecodedBlock, decode_block, describe
from rib.errors import Remedy
from rib.family import AFI_IPV4
from rib.nlri import NlriError, split
from tests.support.cases import cases
from tests.support.vectors import Record, divide_update, load, needs_vectors

pytestmark = needs_vectors

REMEDIES = {
    "attribute-discard": Remedy.ATTRIBUTE_DISCARD,
    "treat-as-withdraw": Remedy.TREAT_AS_WITHDRAW,
    "session-reset": Remedy.SESSION_RESET,
}

# Attributes that are carried or dropped unread have no malformed value for us.
UNREAD_CODES = (29, 39, 40)


def updates() -> list[Record]:
    return [r for r in load("malformed.jsonl.gz") if r["kind"] == "UPDATE"]


def context_of(record: Record) -> AttributeContext:
    said = record["context"]
    return AttributeContext(
        is_ibgp=said.get("session") == "ibgp",
        four_octet_as=said.get("asn4") is not False,
        peer_as=said.get("peer_as", 65001),
        local_as=65000,
    )


def outcome(record: Record) -> tuple[Remedy | None, DecodedBlock] | None:
    """Return the strongest remedy, of attributes and prefixes; ``None`` for bad framing."""
    parts = divide_update(bytes.fromhex(record["hex"]))
    if parts is None:
        return None
    withdrawn, block, nlri = parts
    decoded = decode_block(block, context_of(record), has_nlri=bool(nlri))
    runs = [(withdrawn, AFI_IPV4), (nlri, AFI_IPV4)]
    mp_runs = (decoded.mp_reach, decoded.mp_unreach)
    runs += [(mp.nlri, mp.family.afi) for mp in mp_runs if mp is not None]
    try:
        for run, afi in runs:
            split(run, afi)
    except NlriError:  # RFC 7606 5.3: prefixes that cannot be read end the session
        return Remedy.SESSION_RESET, decoded
    return decoded.remedy, decoded


FIRM = [r for r in updates() if r["verdict"].get("firm") and outcome(r)]


@pytest.mark.rfc("7606", "3", "MUST")
@cases("record", FIRM, ids=[r["id"] for r in FIRM])
def test_firm_verdicts_are_ours_too(record: Record) -> None:
    result = outcome(record)
    assert result is not None
    remedy, decoded = result
    expected = REMEDIES[record["verdict"]["firm"]]
    parts = divide_update(bytes.fromhex(record["hex"]))
    assert parts is not None
    if remedy is None:
        assert expected is Remedy.ATTRIBUTE_DISCARD
        assert record["expect"][0]["attribute"] in UNREAD_CODES
    else:
        assert remedy is expected, decoded.problems
    if expected is Remedy.ATTRIBUTE_DISCARD:  # the route stays, what was wrong is gone
        assert decoded.attributes is not None
        bad_code = record["expect"][0]["attribute"]
        if bad_code not in UNREAD_CODES:
            assert decoded.attributes.get(bad_code) is None
    else:
        assert decoded.attributes is None or remedy is Remedy.SESSION_RESET


def test_there_are_enough_firm_verdicts() -> None:
    assert len(FIRM) > 85


def test_every_message_is_survived_under_every_context() -> None:
    for record in updates():
        message = bytes.fromhex(record["hex"])
        parts = divide_update(message)
        blocks = [message[19:], message[23:]]
        if parts is not None:
            blocks.append(parts[1])
        for block in blocks:
            for is_ibgp in (False, True):
                for four_octet_as in (False, True):
                    context = AttributeContext(
                        is_ibgp=is_ibgp,
                        four_octet_as=four_octet_as,
                        peer_as=65001,
                        local_as=65000,
                    )
                    decoded = decode_block(block, context, has_nlri=True)
                    if decoded.attributes is None:
                        assert decoded.problems
                    else:
                        assert decoded.remedy in (None, Remedy.ATTRIBUTE_DISCARD)
                        assert describe(decoded.attributes)["as_path"] is not None
