import sys

import pytest

from bgpd.cli.opaque import explain


def an_entry(code: int, value: str, flags: str = "0xe0") -> dict[str, object]:
    return {"type": code, "flags": flags, "value": value}


def test_a_prefix_sid_is_put_into_words() -> None:
    assert explain([an_entry(40, "01000700000000000064")]) == ["bgp-prefix-sid [ 100 ]"]


def test_unknown_attributes_are_shown_by_number_and_octets() -> None:
    assert explain([an_entry(99, "616263")]) == [
        "attribute 99 flags 0xe0: 616263",
    ]


def test_unreadable_octets_are_shown_as_they_are() -> None:
    assert explain([an_entry(40, "ff")]) == ["attribute 40 flags 0xe0: ff"]


def test_nothing_unknown_needs_no_words() -> None:
    assert explain([]) == []


def test_without_exabgp_octets_are_shown_and_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "exabgp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "exabgp", None)
    assert explain([an_entry(40, "01000700000000000064")]) == [
        "attribute 40 flags 0xe0: 01000700000000000064",
        "(pip install 'pybgpd[exabgp]' shows more of such attributes in words)",
    ]
