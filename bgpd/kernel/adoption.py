"""Routes of the previous run in the kernel, kept until selection deferral is over.

They stay unchanged until the selection deferral of their family is over
(``bgpd.session.gr_restarting_speaker``): a daemon that was killed and comes back loses no
packet.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bgpd.kernel.access import KernelAccess
from bgpd.speaker.speaker import FAMILIES, Speaker
from rib.family import Family

if TYPE_CHECKING:  # where routes go into the kernel
    from bgpd.kernel.route_programmer import RouteProgrammer


class Adoption:
    """Holds the routes found, and releases them family by family.

    Args:
        speaker: Whose routes they are.
        kernel: Where they were found.
        feeds: What writes the speaker's routes; none without the kernel's table.
    """

    def __init__(
        self,
        speaker: Speaker,
        kernel: KernelAccess,
        feeds: "Mapping[Family, RouteProgrammer]",
    ) -> None:
        self._speaker = speaker
        self._kernel = kernel
        self._feeds = feeds
        self._deferred_sweep = {*FAMILIES}
        self._clearing: asyncio.Task[None] | None = None

    def found(self) -> frozenset[Family]:
        """Return the families of which an earlier run left routes in the kernel."""
        fib = self._kernel.fib
        if fib is None:
            return frozenset()
        return frozenset(family for family in FAMILIES if fib.stale(family))

    def sweep(self, family: Family) -> None:
        """Make the kernel follow a family from now on, and remove routes without a BGP route."""
        fib, places = self._kernel.fib, self._kernel.places
        if fib is not None:
            tables = self._speaker.tables[family]
            tables.flush_now()
            self._feeds[family].release(tables.loc_rib)
            fib.adoption_done(family)
        self._deferred_sweep.discard(family)
        if not self._deferred_sweep and places.left and self._clearing is None:
            self._clearing = asyncio.create_task(self._clear(), name="former places")

    async def _clear(self) -> None:
        """Remove what earlier configurations put elsewhere: its replacements are in place."""
        if self._kernel.fib is not None:
            await self._kernel.fib.wait_until_synced()
        await self._kernel.places.remove()

    async def close(self) -> None:
        """Stop removing."""
        if self._clearing is not None:
            self._clearing.cancel()
            await asyncio.gather(self._clearing, return_exceptions=True)
