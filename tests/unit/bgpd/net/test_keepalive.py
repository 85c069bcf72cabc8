"""UPDATEs put KEEPALIVEs off, though the session learns of them late."""

from bgpd.wire.framing import MessageType
from bgpd.wire.update import end_of_rib
from rib.family import IPV4_UNICAST
from tests.support.simnet import advance, on_virtual_time
from tests.support.speakers import Rack, a_pair, until

KEEPALIVE, UPDATE = int(MessageType.KEEPALIVE), int(MessageType.UPDATE)


@on_virtual_time
async def test_no_keepalive_leaves_while_updates_do() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack, hold_time=3)
        await advance(0.1)
        driver = a.peer(b).driver
        sent = driver.session.counters.sent
        updates, keepalives = sent[UPDATE], sent[KEEPALIVE]
        for _ in range(11):
            driver.write([end_of_rib(IPV4_UNICAST)], 1)
            await advance(0.2)
        assert sent[UPDATE] == updates + 11
        assert sent[KEEPALIVE] == keepalives
        await until(lambda: sent[KEEPALIVE] > keepalives, 2)
        await advance(1.2)
        assert sent[KEEPALIVE] > keepalives + 1
        assert a.is_up(b)
        assert a.flaps(b) == b.flaps(a) == 0
