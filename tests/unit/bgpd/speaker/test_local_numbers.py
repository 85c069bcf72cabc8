"""AS numbers that are ours, on one session or on another (RFC 4271 9.1.2)."""

from dataclasses import replace
from functools import partial
from random import Random

from bgpd.session.settings import ChangeCost, LocalAsMode, PeerSettings
from bgpd.speaker.local_numbers import LocalNumbers
from rib.attributes import make_attributes, parse_as_path
from rib.family import IPV4_UNICAST
from rib.import_checks import FilterReason
from tests.support.simnet import on_virtual_time
from tests.support.speakers import ASN, Rack, until

UNCONNECTED = "192.0.2.9"
OLD_AS = 64999


def some_peers(random: Random) -> list[PeerSettings]:
    return [
        PeerSettings(
            "p", f"10.0.0.{n}", 1, random.choice((0, 5, 6, 7)), is_client=n % 2 == 0
        )
        for n in range(random.randint(0, 5))
    ]


def test_numbers_are_those_of_the_peers_there_are() -> None:
    random = Random(1)
    ours = LocalNumbers(9, 5)
    there: list[PeerSettings] = []
    for _ in range(200):
        if there and random.random() < 0.5:
            gone = there.pop(random.randrange(len(there)))
            ours.note(gone, None)
        for come in some_peers(random)[:1]:
            old = there.pop() if there and random.random() < 0.5 else None
            ours.note(old, come)
            there.append(come)
        asns = {5, *(each.local_as for each in there)} - {0}
        assert ours.asns == asns
        assert ours.cluster_ids == {9 for each in there if each.is_client}
        other = LocalNumbers(9, 5)
        other.replace(9, there)
        assert other.asns == asns


@on_virtual_time
async def test_a_loop_is_found_by_the_as_number_of_any_session() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1, asn=ASN), await rack.node(2, asn=65001)
        a.peers_with(b, import_policy="accept-all")
        b.peers_with(a, export_policy="accept-all")
        looped = make_attributes(next_hop=b"", as_path=parse_as_path(f"{OLD_AS} 3"))
        b.announce("10.2.0.0/16", attributes=looped)
        b.announce("10.3.0.0/16")
        await until(lambda: a.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"})

        # Another neighbour knows us by the AS that is in the path; then no neighbour does.
        other = a.peers_with(UNCONNECTED, local_as=OLD_AS, is_passive=True)
        await until(lambda: a.prefixes() == {"10.3.0.0/16"})
        (refused,) = a.peer(b).ribs_in[IPV4_UNICAST].filtered.values()
        assert (refused.refusal, refused.detail) == (
            FilterReason.OWN_AS,
            f"AS {OLD_AS}",
        )
        settings = replace(other.settings, local_as=ASN)
        a.speaker.neighbours.change(settings, ChangeCost.RESET)
        await until(lambda: a.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"})
        a.accepts("192.0.2.0/24", local_as=OLD_AS)
        await until(lambda: a.prefixes() == {"10.3.0.0/16"})
        a.speaker.neighbours.remove_range("range")
        await until(lambda: a.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"})
        a.speaker.set_identity("10.0.0.1", "", OLD_AS)
        await until(lambda: a.prefixes() == {"10.3.0.0/16"})
        assert a.flaps(b) == 0


@on_virtual_time
async def test_where_an_as_of_one_session_stands_changes_without_a_reset() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1, asn=ASN), await rack.node(2, asn=65001)
        a.speaker.set_identity("10.0.0.1", "", 64000)
        a.peers_with(b, import_policy="accept-all", export_policy="accept-all")
        b.peers_with(a, import_policy="accept-all", export_policy="accept-all")
        a.announce("10.1.0.0/16")
        b.announce("10.2.0.0/16")

        def has_paths(sent: str, received: str) -> bool:
            there, here = b.best("10.1.0.0/16"), a.best("10.2.0.0/16")
            return (
                there is not None
                and here is not None
                and str(there.attributes.as_path) == sent
                and str(here.attributes.as_path) == received
            )

        for mode, sent, received in (
            (LocalAsMode.REPLACE_AS, f"{ASN}", "65001"),
            (LocalAsMode.NO_PREPEND, f"{ASN} 64000", "65001"),
            (LocalAsMode.PREPEND, f"{ASN} 64000", f"{ASN} 65001"),
            (LocalAsMode.REPLACE_AS, f"{ASN}", "65001"),
        ):
            settings = replace(a.peer(b).settings, local_as_mode=mode)
            a.speaker.neighbours.change(settings, ChangeCost.REFRESH)
            await until(partial(has_paths, sent, received), what=mode.value)
        assert a.flaps(b) == 0
