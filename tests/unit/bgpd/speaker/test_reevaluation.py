"""Options of the decision process that change while sessions are up."""

from bgpd.speaker.reevaluation import follow_options
from rib.attributes import make_attributes, parse_as_path
from rib.decision import DecisionOptions, Reason
from tests.support.simnet import on_virtual_time
from tests.support.speakers import Rack, until

WITHOUT_LENGTH = DecisionOptions(left_out=frozenset({Reason.AS_PATH_LEN}))


@on_virtual_time
async def test_other_options_decide_again_and_reset_nothing() -> None:
    async with Rack() as rack:
        a, short, other, reader = [await rack.node(n) for n in (1, 2, 3, 4)]
        for node in (short, other, reader):
            a.peers_with(node, is_client=True)
            node.peers_with(a)
        longer = make_attributes(next_hop=b"", as_path=parse_as_path("1 2"), origin=0)
        shorter = make_attributes(next_hop=b"", as_path=parse_as_path("1"), origin=2)
        other.announce("10.1.0.0/16", "10.2.0.0/16", attributes=longer)
        short.announce("10.1.0.0/16", attributes=shorter)

        def best_path(prefix: str = "10.1.0.0/16") -> str:
            found = reader.best(prefix)
            return "" if found is None else str(found.attributes.as_path)

        await until(lambda: (best_path(), best_path("10.2.0.0/16")) == ("1", "1 2"))
        follow_options(a.speaker.context, a.speaker.shared, WITHOUT_LENGTH)
        await until(lambda: best_path() == "1 2")
        follow_options(a.speaker.context, a.speaker.shared, WITHOUT_LENGTH)
        assert not a.speaker.tables[next(iter(a.speaker.tables))].pending_count
        follow_options(a.speaker.context, a.speaker.shared, DecisionOptions())
        await until(lambda: best_path() == "1")
        assert not any(a.flaps(node) for node in (short, other, reader))


@on_virtual_time
async def test_another_default_of_local_pref_is_advertised() -> None:
    async with Rack() as rack:
        a, b = [await rack.node(n) for n in (1, 2)]
        a.peers_with(b)
        b.peers_with(a)
        a.announce("10.1.0.0/16")

        def local_pref() -> int | None:
            found = b.best("10.1.0.0/16")
            return None if found is None else found.attributes.local_pref

        await until(lambda: local_pref() == 100)
        follow_options(
            a.speaker.context, a.speaker.shared, DecisionOptions(default_local_pref=70)
        )
        await until(lambda: local_pref() == 70)
        assert a.flaps(b) == 0
