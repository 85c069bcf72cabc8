"""``bfd`` in the configuration: short forms, inheritance, contradictions."""

import json
from pathlib import Path
from typing import Any

import pytest

from bgpd.config.errors import ConfigError
from bgpd.config.loader import load
from bgpd.session.settings import BfdSettings
from tests.support.cases import cases

SIMPLE = {"type": "simple", "password": "p"}


def settings_of(bfd: Any, defaults: Any = None, **places: Any) -> Any:
    content: dict[str, Any] = {
        "bgp": {"as": 64512, "router_id": "10.0.0.1"},
        "peers": [{"address": "192.0.2.1", "as": 64513}],
        **places,
    }
    if bfd is not None:
        content["peers"][0]["bfd"] = bfd
    if defaults is not None:
        content["bgp"]["defaults"] = {"bfd": defaults}
    try:
        return load(text=json.dumps(content), text_name="f", environment={}).settings
    except ConfigError as error:
        return str(error)


@cases(
    ("bfd", "defaults", "expected"),
    [
        (None, None, None),
        (True, None, BfdSettings()),
        ("on", None, BfdSettings()),
        (False, True, None),
        (None, {"min_tx": 50}, BfdSettings(min_tx=50)),
        ({"min_rx": 40}, {"min_tx": 50}, BfdSettings(min_rx=40)),
        (
            {"multihop": True, "strict": True, "auth": SIMPLE},
            None,
            BfdSettings(
                is_multihop=True, is_strict=True, auth_type="simple", auth_secret="p"
            ),
        ),
    ],
)
def test_the_nearest_mapping_counts_as_a_whole(bfd, defaults, expected) -> None:
    assert settings_of(bfd, defaults).peers[0].bfd == expected


@cases(
    ("bfd", "text"),
    [
        ({"min_tx": 9}, "peers[0].bfd.min_tx"),
        ({"interval": 9}, "peers[0].bfd.interval"),
        ({"multiplier": 0}, "peers[0].bfd.multiplier"),
        ({"auth": {}}, "peers[0].bfd.auth.password: is required"),
        ({"auth": {"type": "md5"}}, "peers[0].bfd.auth.type"),
        ({"auth": {"type": "simple", "password": "x" * 17}}, "1 to 16 octets"),
        ({"auth": {"password": "x" * 21}}, "1 to 20 octets"),
        (
            {"auth": {"password": "x", "password_file": "y"}},
            "cannot be combined with password",
        ),
        ("sometimes", "peers[0].bfd"),
    ],
)
def test_a_mistake_is_named_with_its_place(bfd, text) -> None:
    assert text in settings_of(bfd)


def test_a_range_cannot_wait_for_bfd() -> None:
    ranges = [{"prefix": "10.0.0.0/8", "as": 1, "bfd": {"strict": True}}]
    text = settings_of(None, ranges=ranges)
    assert "ranges[0].bfd.strict: is only for peers" in text


def test_a_key_file_is_read_and_its_length_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "pybgpd.yaml"
    file.write_text(
        "bgp: {as: 64512, router_id: 10.0.0.1}\n"
        "peers: [{address: 192.0.2.1, as: 1, bfd: {auth: {password_file: key}}}]\n"
    )
    (tmp_path / "key").write_text("secret\n")
    bfd = load(file, environment={}).settings.peers[0].bfd
    assert bfd is not None
    assert bfd.auth_secret == "secret"
    assert "secret" not in repr(bfd)
    (tmp_path / "key").write_text("x" * 21)
    with pytest.raises(ConfigError, match="1 to 20 octets"):
        load(file, environment={})
