"""Consumers of a family's routes other than peers: kernel, next-hop tracking, conditional routes.

The last stage of the way outwards. ``FamilyTables`` is given it when it is made, and passes each
flush on to it; the parts that follow a family are attached here. They receive what was flushed
and not what is pending: they and the peers always see the same table. A consumer may change the
table again, and what it changes is flushed later; it must not flush.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bgpd.runtime.fault_isolation import each, piecewise
from rib.change import Change
from rib.path_set import Entry


class RouteConsumer(Protocol):
    """A part that follows one family's routes."""

    def changed(self, changes: Sequence[Change]) -> None:
        """Receive flushed changes."""


class ForwardingConsumer(RouteConsumer, Protocol):
    """A part that can apply at once what changes would do prefix by prefix: the kernel's table."""

    def predict(self, after: Mapping[Entry, Entry | None]) -> None:
        """Receive predictions: each of these entries will become another; the rest was flushed."""


class RouteConsumers:
    """The parts that follow one family's routes; an error in one does not affect the others."""

    def __init__(self) -> None:
        self._consumers: list[RouteConsumer] = []
        self._forwarding: list[ForwardingConsumer] = []

    def attach(self, consumer: RouteConsumer) -> None:
        """Attach a part that follows the routes from the next flush on."""
        self._consumers.append(consumer)

    def detach(self, consumer: RouteConsumer) -> None:
        """Let a part follow the routes no longer."""
        self._consumers.remove(consumer)

    def attach_forwarding(self, consumer: ForwardingConsumer) -> None:
        """Attach a part that also receives predictions."""
        self.attach(consumer)
        self._forwarding.append(consumer)

    @property
    def are_foreseeing(self) -> bool:
        """Whether any consumer uses predictions."""
        return bool(self._forwarding)

    def changed(self, changes: Sequence[Change]) -> None:
        """Pass on what was flushed."""
        for consumer in self._consumers:
            piecewise(consumer.changed, changes)

    def predict(self, after: Mapping[Entry, Entry | None]) -> None:
        """Pass on predictions."""
        each(lambda consumer: consumer.predict(after), self._forwarding, "move")
