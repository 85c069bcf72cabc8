"""Next hops by the kind of source, as sessions of either kind receive them."""

from dataclasses import replace

import pytest

from bgpd.session.settings import NextHopMode
from bgpd.speaker.export_context import SELF_FROM, next_hop_mode
from reflector.export import PeerType
from rib.attributes.codes import NEXT_HOP
from rib.path import SourceKind
from tests.support.exports import SELF, a_context, from_peer, told, values
from tests.support.routes import some_attributes

LOCAL, KERNEL, EBGP, IBGP = SourceKind
# Mode, and the sources whose routes iBGP and eBGP peers get with next hop self.
MODES = [
    (NextHopMode.AUTO, (), SourceKind),
    (NextHopMode.SELF, (LOCAL, KERNEL, EBGP), SourceKind),
    (NextHopMode.SELF_ALL, SourceKind, SourceKind),
    (NextHopMode.SELF_INTERNAL, (IBGP,), SourceKind),
    (NextHopMode.KEEP, (), ()),
    (NextHopMode.KEEP_EXTERNAL, (), (LOCAL, KERNEL, IBGP)),
    (NextHopMode.KEEP_INTERNAL, (), (LOCAL, KERNEL, EBGP)),
]


def test_every_mode_is_tried() -> None:
    assert {mode for mode, _, _ in MODES} == set(NextHopMode) == SELF_FROM.keys()


@pytest.mark.parametrize(("mode", "internal", "external"), MODES)
@pytest.mark.parametrize("kind", SourceKind)
def test_next_hop_self_by_mode_and_kind_of_source(
    mode, internal, external, kind: SourceKind
) -> None:
    path = from_peer(
        kind, some_attributes(next_hop="192.0.2.9", local_pref=1), is_client=True
    )
    for peer_type, selves in ((PeerType.CLIENT, internal), (PeerType.EBGP, external)):
        is_ebgp = peer_type is PeerType.EBGP
        context = replace(a_context(peer_type), self_from=SELF_FROM[mode][is_ebgp])
        wanted = SELF if kind in tuple(selves) else bytes((192, 0, 2, 9))
        assert values(told(path, context))[NEXT_HOP] == wanted


@pytest.mark.parametrize("peer_type", PeerType)
@pytest.mark.parametrize("mode", NextHopMode)
def test_the_mode_that_is_shown_does_the_same(
    peer_type: PeerType, mode: NextHopMode
) -> None:
    is_ebgp = peer_type is PeerType.EBGP
    context = replace(a_context(peer_type), self_from=SELF_FROM[mode][is_ebgp])
    shown = next_hop_mode(context)
    assert SELF_FROM[shown][is_ebgp] == SELF_FROM[mode][is_ebgp]


def test_the_plain_way_is_shown_as_such() -> None:
    assert next_hop_mode(a_context()) is NextHopMode.AUTO
