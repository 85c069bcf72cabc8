"""Which worker of pytest-xdist runs which test, at a cost that does not grow with their number.

Tests of one group (``@pytest.mark.xdist_group``) stay together. The others go one by one, or
by whole files where all are fast: then what a file makes once is made by one worker, and
none has to ask for work after each test.
"""

from collections.abc import Sequence
from typing import Any

from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController


class Scheduling(LoadGroupScheduling):  # type: ignore[misc]  # it has no types
    """As pytest-xdist's, but done work is forgotten and tests are found by a dictionary.

    The original counts all that a worker was ever given after each test, and searches the
    list of all tests for each that it hands out: 7 s of processor time for 11,000 tests.
    """

    def __init__(self, config: Any, log: Producer, *, by_file: bool) -> None:
        """Schedule.

        Args:
            config: Of pytest.
            log: Of pytest-xdist.
            by_file: Whether tests of one file stay together.
        """
        super().__init__(config, log)
        self._by_file = by_file

    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return scope.partition("::")[0] if self._by_file else scope

    def add_node_collection(
        self, node: WorkerController, collection: Sequence[str]
    ) -> None:
        """Remember what a worker collected."""
        super().add_node_collection(node, collection)
        if node in self.registered_collections:
            self.registered_collections[node] = _Indexed(collection)

    def mark_test_complete(
        self,
        node: WorkerController,
        item_index: int,
        duration: float = 0,  # noqa: ARG002
    ) -> None:
        """Note that a test has run, and hand out more where little is left."""
        nodeid = self.registered_collections[node][item_index]
        scope = self._split_scope(nodeid)
        units: dict[str, dict[str, bool]] = self.assigned_work[node]
        units[scope][nodeid] = True
        if all(units[scope].values()):
            del units[scope]
        self._reschedule(node)


class _Indexed(list[str]):
    """Names of tests, each of which is found at once."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self._places = {name: place for place, name in enumerate(names)}

    def index(self, name: str, *_: Any) -> int:
        """Return where a test stands."""
        return self._places[name]
