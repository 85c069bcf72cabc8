import pytest

from bgpd.config.model import DaemonConfig, Listen
from bgpd.config.peers import FamilyOptions, Peer
from bgpd.config.policies import Term
from bgpd.config.schema import keys_of, leaves, section_at, takes_text
from bgpd.texts.tree import KeyPath


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ((), DaemonConfig),
        (("bgp", "listen"), Listen),
        (("peers", 3), Peer),
        (("peers", 3, "families", 0), FamilyOptions),
        (("policies", "x", "terms", 1), Term),
        (("peers",), None),
        (("bgp", "as"), None),
        (("bgp", "as", "deeper"), None),
        (("nothing", "here"), None),
    ],
)
def test_a_path_leads_to_the_section_expected_there(
    path: KeyPath, section: type | None
) -> None:
    assert section_at(path) is section


def test_keys_are_named_as_they_are_written() -> None:
    assert "as" in keys_of(Peer)
    assert "asn" not in keys_of(Peer)


def test_leaves_are_the_keys_that_stand_once() -> None:
    paths = {leaf.path: leaf.is_list for leaf in leaves()}
    assert paths["bgp", "listen", "addresses"] is True
    assert paths["fib", "table"] is False
    assert paths["bgp", "defaults", "families"] is True
    assert not any(path[0] in {"peers", "policies", "peer_groups"} for path in paths)
    assert ("routes", "originate") not in paths


def test_text_is_distinguished_from_numbers() -> None:
    assert takes_text(str | None)
    assert takes_text(list[str])
    assert not takes_text(int | None)
