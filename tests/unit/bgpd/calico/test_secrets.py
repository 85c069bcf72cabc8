"""Passwords out of Secrets."""

from base64 import b64encode
from typing import Any

import pytest

from bgpd.calico.secrets import SecretTable


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def test_passwords_are_known_by_secret_and_key() -> None:
    table = SecretTable()
    table.put("bgp", {"data": {"rr": encoded("hush")}, "stringData": {"tor": "psst"}})
    assert table.passwords == {("bgp", "rr"): "hush", ("bgp", "tor"): "psst"}
    table.put("bgp", {"data": {"rr": encoded("new")}})
    assert table.passwords == {("bgp", "rr"): "new"}
    table.drop("bgp")
    assert table.passwords == {}


@pytest.mark.parametrize(
    "value", ["no base64!", encoded("x" * 81), encoded(""), 7, None, "/w=="]
)
def test_what_cannot_be_a_password_is_reported_by_its_key_and_not_shown(
    value: Any,
) -> None:
    table = SecretTable()
    table.put("bgp", {"data": {"bad": value, "good": encoded("hush")}})
    assert table.passwords == {("bgp", "good"): "hush"}
    (warning,) = table.warnings
    assert (warning.key, warning.field) == ("Secret bgp", "data.bad")
    assert "x" * 81 not in warning.text


def test_a_secret_of_another_shape_holds_nothing() -> None:
    table = SecretTable()
    table.put("bgp", {"data": ["rr"]})
    assert table.passwords == {}
    assert len(table.warnings) == 1
    table.put("bgp", {})
    assert not table.warnings
