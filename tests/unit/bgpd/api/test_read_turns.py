"""What clients send is parsed some pieces a turn, in the order of each client."""

import asyncio

from bgpd.api.read_turns import READS, ReadTurns
from tests.support.turns import turn


class Client:
    """A connection that notes what happens to it."""

    def __init__(self) -> None:
        self.held = 0
        self.seen: list[bytes | str] = []

    def parse(self, octets: bytes) -> None:
        self.seen.append(octets)

    def hold(self) -> None:
        self.seen.append("held")

    def go_on(self) -> None:
        self.seen.append("goes on")


def parsed(clients: list[Client]) -> int:
    return sum(isinstance(each, bytes) for client in clients for each in client.seen)


def test_what_comes_in_one_turn_is_parsed_in_several() -> None:
    async def main() -> None:
        turns, clients = ReadTurns(), [Client() for _ in range(3 * READS + 1)]
        for client in clients:
            turns.received(client, b"a")
        for number in range(1, 4):
            assert parsed(clients) == number * READS
            await turn()
        assert parsed(clients) == len(clients)
        assert clients[0].seen == [b"a"]
        assert clients[-1].seen == ["held", "goes on", b"a"]
        await turn()
        turns.received(clients[0], b"b")
        assert clients[0].seen == [b"a", b"b"]  # at once: nothing waits

    asyncio.run(main())


def test_pieces_of_a_client_keep_their_order_though_it_was_not_to_send_them() -> None:
    async def main() -> None:
        turns, client = ReadTurns(), Client()
        for number in range(2 * READS + 2):
            turns.received(client, b"%d" % number)
        await turn()
        turns.received(client, b"last")
        for _ in range(2):
            await turn()
        pieces = [each for each in client.seen if isinstance(each, bytes)]
        assert pieces == [*(b"%d" % n for n in range(2 * READS + 2)), b"last"]
        assert [each for each in client.seen if isinstance(each, str)] == [
            "held",
            "goes on",
        ]
        assert client.held == 0

    asyncio.run(main())


def test_a_reader_that_holds_itself_while_it_parses_stays_so() -> None:
    class Full(Client):
        def parse(self, octets: bytes) -> None:
            super().parse(octets)
            self.hold()

    async def main() -> None:
        turns, client = ReadTurns(), Full()
        others = [Client() for _ in range(READS)]
        for other in others:
            turns.received(other, b"x")
        turns.received(client, b"a")
        await turn()
        assert client.seen == ["held", "goes on", b"a", "held"]

    asyncio.run(main())
