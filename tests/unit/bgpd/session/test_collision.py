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
            for number, put in enumerate(self._inputs):
                self._queues.setdefault(self._stream(put, number), []).append(put)
            self._inputs.clear()
            ready = [queue for queue in self._queues.values() if queue]
            if not ready:
                return
            self._rng.choice(ready).pop(0)()
        raise AssertionError("the two never fall silent")

    def _stream(self, put: Callable[[], None], number: int) -> object:
        """Name the stream by the receiving connection; attempts have one each."""
        cells = put.__closure__ or ()
        names = dict(zip(put.__code__.co_freevars, cells, strict=True))
        if "far_id" in names:
            return names["far_id"].cell_contents
        (argument,) = put.__defaults__ or (number,)
        far = self._far.get(argument) if "c" in put.__code__.co_varnames else None
        return far[1] if far is not None else ("attempt", argument)


@pytest.mark.parametrize("seed", range(300))
def test_a_collision_never_takes_an_established_session_down(seed: int) -> None:
    pair = ShuffledPair(seed, *((1, 2) if seed % 2 else (2, 1)))
    pair.start()
    pair.run(15)
    assert pair.states == (State.ESTABLISHED, State.ESTABLISHED)
    assert not pair.events_of(0, SessionDown)
    assert not pair.events_of(1, SessionDown)
