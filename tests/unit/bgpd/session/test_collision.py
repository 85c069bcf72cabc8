"""Both sides connect at once, and octets arrive in any order TCP allows."""

from collections.abc import Callable
from random import Random

import pytest

from bgpd.session.events import SessionDown
from bgpd.session.fsm import State
from tests.support.session_pair import Pair, session


class ShuffledPair(Pair):
    """Delivers in random order, but each direction of a connection in its own."""

    def __init__(self, seed: int, low_id: int = 1, high_id: int = 2) -> None:
        super().__init__(session(low_id, seed=seed), session(high_id, seed=seed + 1))
        self._rng = Random(seed)
        self._queues: dict[object, list[Callable[[], None]]] = {}

    def settle(self) -> None:
        for _ in range(10_000):
            self._drain()
            for stream, put in self._inputs:
                self._queues.setdefault(stream, []).append(put)
            self._inputs.clear()
            ready = [queue for queue in self._queues.values() if queue]
            if not ready:
                return
            self._rng.choice(ready).pop(0)()
        raise AssertionError("the two never fall silent")


@pytest.mark.parametrize("seed", range(300))
def test_a_collision_never_takes_an_established_session_down(seed: int) -> None:
    pair = ShuffledPair(seed, *((1, 2) if seed % 2 else (2, 1)))
    pair.start()
    pair.run(15)
    assert pair.states == (State.ESTABLISHED, State.ESTABLISHED)
    assert not pair.events_of(0, SessionDown)
    assert not pair.events_of(1, SessionDown)
