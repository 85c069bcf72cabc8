"""Open access to the kernel: our table, a view of the rest, former places.

An instance exists only when everything in it works: the table was read, so no earlier route is
taken for lost, and the view is followed.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bgpd.config.settings import DaemonSettings
from bgpd.kernel.former_places import FormerPlaces
from bgpd.kernel.next_hop_tracking import NextHopTracker
from fib.routes import Fib

if TYPE_CHECKING:  # what is opened is loaded
    from fib.kernel_follower import KernelFollower
    from fib.kernel_view import KernelView


@dataclass(slots=True)
class KernelAccess:
    """The opened parts.

    Attributes:
        places: Where runs of this daemon have put routes.
        fib: Our table; ``None`` where routes do not go into the kernel.
        follower: Follows links and other programs' routes; ``None`` while no part needs them.
        ways: How each next hop is reached, for the speaker to ask.
    """

    places: FormerPlaces
    fib: Fib | None = None
    follower: "KernelFollower | None" = None
    ways: NextHopTracker = field(default_factory=NextHopTracker)

    @property
    def view(self) -> "KernelView | None":
        """Links and other programs' routes; ``None`` while no part needs them."""
        return None if self.follower is None else self.follower.view

    async def close(self, *, flush: bool) -> None:
        """Close all parts.

        Args:
            flush: Remove our routes; otherwise they stay for a successor.
        """
        if self.follower is not None:
            await self.follower.close()
        if self.fib is not None:
            await self.fib.close(flush=flush)
        if flush:
            await self.places.remove()
            self.places.forget_here()


async def open_kernel(
    settings: DaemonSettings, *, needs_view: bool = False
) -> KernelAccess:
    """Read the kernel's tables and begin to follow them.

    Args:
        settings: Which parts of the kernel are used.
        needs_view: Other programs' routes will be learned.

    Raises:
        FibError: The kernel refused; the text says what to do.
    """
    fib, routes = settings.fib, settings.routes
    access = KernelAccess(FormerPlaces(settings.control_path, fib))
    await access.places.begin()
    if fib.is_enabled:
        from fib.kernel import KernelFib  # noqa: PLC0415  # not every reflector

        access.fib = await KernelFib.start(
            table=fib.table,
            protocol=fib.protocol,
            next_hop_objects="auto" if fib.uses_nexthop_objects else "off",
        )
    is_redistributing = routes.learn.is_enabled or bool(routes.direct.interfaces)
    if not settings.trusts_next_hops or is_redistributing or needs_view:
        from fib.kernel_follower import KernelFollower  # noqa: PLC0415  # likewise

        try:
            access.follower = await KernelFollower.start(protocol=fib.protocol)
        except BaseException:
            await access.close(flush=False)
            raise
    return access
