"""A resolver of next hops that gives set answers and records the questions."""

from collections.abc import Callable

from rib.next_hops import TRUSTING, Reachability


class ScriptedResolver:
    """Stands where the kernel is watched (``rib.next_hops.NextHopResolver``).

    Args:
        answer: Reachability by key; of all next hops, by default.
    """

    def __init__(
        self, answer: Callable[[bytes], Reachability] = TRUSTING.resolve
    ) -> None:
        self.asked: list[bytes] = []
        self.released: list[bytes] = []
        self._answer = answer

    def resolve(self, key: bytes) -> Reachability:
        self.asked.append(key)
        return self._answer(key)

    def release(self, key: bytes) -> None:
        self.released.append(key)
