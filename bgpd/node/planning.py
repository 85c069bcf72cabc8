"""Makes the plans of one node and delivers them, also when an object breaks planning.

A plan has two inputs: the cluster's state, and what is not in the datastore (passwords, services,
local workloads). If no plan can be made with new input of the second kind, the last input with
which one could be made serves once more, so that news from the datastore still take effect; what
cannot be planned at all leaves the last plan in force. The border reports each.
"""

from collections.abc import Awaitable, Callable

from bgpd.calico.desired import NodeDesired
from bgpd.calico.planner import SideInputs
from bgpd.calico.state import ClusterState
from bgpd.calico.warnings import ObjectWarning
from bgpd.runtime.event_loop import keep_young
from bgpd.runtime.fault_border import FaultBorder
from bgpd.worker.turns import in_turns

Deliver = Callable[[NodeDesired], Awaitable[None]]


class NodePlanning:
    """Plans one node.

    Args:
        node: Its name.
        state: The cluster's.
        deliver: Takes what the node must be, and returns once it is.
        border: Keeps what an object brings about from ending the caller.

    Attributes:
        node: Its name.
        state: The cluster's.
        side: Inputs from outside the datastore, as of the last attempt.
        plan_count: How many plans were made.
    """

    def __init__(
        self, node: str, state: ClusterState, deliver: Deliver, border: FaultBorder
    ) -> None:
        self.node = node
        self.state = state
        self.side = SideInputs()
        self.plan_count = 0
        self._deliver = deliver
        self._border = border
        self._sound_side = self.side  # of the last plan that could be made
        self._own_warnings: frozenset[ObjectWarning] = frozenset()

    def warnings(self) -> frozenset[ObjectWarning]:
        """Return the problems with objects of the cluster, as this node sees them."""
        return self.state.warnings() | self._own_warnings

    async def plan(self, side: SideInputs) -> None:
        """Make a plan and deliver it, in turns of the loop; without one nothing changes."""
        self.side = side
        with self._border.around("the plan"):
            desired = await self._plan_with(side)
            self.plan_count += 1
            self._own_warnings = frozenset(desired.warnings) - self.state.warnings()
            # A border of its own: a plan that cannot be delivered is a plan all the same.
            with self._border.around("the applied plan"):
                await self._deliver(desired)

    async def _plan_with(self, side: SideInputs) -> NodeDesired:
        """Return a plan; if planning fails, use the previous inputs from other sources.

        Raises:
            Exception: None can be made in that way, either.
        """
        if side != self._sound_side:
            with self._border.around("the input from outside the datastore"):
                plan = self.state.plan_in_slices(self.node, side)
                desired = await in_turns(plan, keep_young)
                self._sound_side = side
                return desired
        plan = self.state.plan_in_slices(self.node, self._sound_side)
        return await in_turns(plan, keep_young)
