"""From the running peers to the wanted ones: step by step, a few at a time.

Thousands of peers come at once where a cluster's mesh is large, and each costs sockets and
timers. So the steps are taken in slices, between which the loop serves the sessions that are
up. A newer wish takes effect at once: the remaining steps are
computed again from what runs by then.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bgpd.config.diff import Change, Step, StepKind, dearest, peer_change, step_fields
from bgpd.config.settings import DaemonSettings
from bgpd.runtime.log_fields import Names
from bgpd.session.ranges import RangeTable
from bgpd.session.settings import ChangeCost, PeerSettings, RangeSettings
from bgpd.speaker.peer_handover import (
    can_go_on,
    change_of,
    leave_to_range,
    settings_under,
    successor_range,
    take_over,
)
from bgpd.speaker.speaker import Speaker
from bgpd.texts.errors import text_of

SHOWN: Final = 3  # steps of one kind that the log shows each by itself
AT_ONCE: Final = 16  # steps that are taken whatever the time: a few peers come together
LOOKED_AT: Final = 256  # peers compared in one go, at most a millisecond

_log = logging.getLogger(__name__)


class PeerChanges:
    """Brings a speaker's configured peers to the wanted state.

    Args:
        speaker: What runs.
        settled: Called whenever what runs is what is wanted.

    Attributes:
        faults: Peers that could not be had, by address, and why.
    """

    def __init__(self, speaker: Speaker, settled: Callable[[], None]) -> None:
        self.faults: dict[str, str] = {}
        self._speaker = speaker
        self._settled = settled
        self._steps: Iterator[Step | None] | None = None
        self._is_queued = False

    @property
    def is_settled(self) -> bool:
        """Whether the wanted state is reached."""
        return self._steps is None

    def follow(self, wanted: Mapping[str, PeerSettings]) -> list[Step]:
        """Replace the wanted peers.

        Args:
            wanted: Settings by address; not changed afterwards.

        Returns:
            The steps that were taken at once, in order; the rest follows in slices.
        """
        self._steps = self._changes(wanted)
        done: list[Step] = []
        time = self._speaker.loop.time
        until = time() + self._speaker.work_queue.budget
        while not self.is_settled and (len(done) < AT_ONCE or time() < until):
            step = self._go_on()
            if step is not None:
                done.append(step)
        if not (self.is_settled or self._is_queued):
            self._is_queued = True
            self._speaker.work_queue.add(self._rest())
        return done

    def _rest(self) -> Iterator[None]:
        try:
            while not self.is_settled:
                self._go_on()
                yield
        finally:
            self._is_queued = False

    def _go_on(self) -> Step | None:
        """Take the next step, if there is one."""
        steps = self._steps
        if steps is None:
            return None
        is_over = True
        try:
            step = next(steps)
            is_over = False
        except StopIteration:
            return None
        else:
            return step
        finally:
            if is_over and self._steps is steps:
                self._steps = None
                self._settled()

    def _changes(self, wanted: Mapping[str, PeerSettings]) -> Iterator[Step | None]:
        """Take all steps; removals come first, so that names are free."""
        summary = _Summary()
        self.faults = {
            address: text for address, text in self.faults.items() if address in wanted
        }
        for step in find_changes(self._speaker, wanted):
            if step is not None:
                self._carry_out(step)
                summary.add(step)
            yield step
        summary.log()

    def _carry_out(self, step: Step) -> None:
        """Take one step; a peer that fails does not stop the others."""
        self.faults.pop(step.name, None)
        try:
            self._apply(step)
        except Exception as error:  # noqa: BLE001  # any error of the socket or the session
            text = text_of(error)
            self.faults[step.name] = text
            _log.error(
                "peer %(address)s: %(reason)s",
                {
                    "event": "peer-not-changed",
                    **step_fields(step),
                    "reason": text,
                },
                exc_info=_unexpected(error),
            )
            if step.change is Change.ADD:
                self._speaker.neighbours.discard(step.name)

    def _apply(self, step: Step) -> None:
        speaker, settings = self._speaker, step.value
        if step.change is Change.REMOVE:
            leave_to_range(speaker, speaker.peers[step.name])
        elif isinstance(settings, PeerSettings):
            if step.change is Change.ADD:
                dynamic = speaker.peers.get(step.name)
                if dynamic is None:
                    speaker.neighbours.add(settings)
                else:
                    take_over(speaker, dynamic, settings)
            elif step.name in speaker.peers:
                keys = ", ".join(step.shown_keys)
                speaker.neighbours.change(settings, step.cost, f"changed: {keys}")


def find_changes(
    speaker: Speaker,
    wanted: Mapping[str, PeerSettings],
    ranges: RangeTable | None = None,
) -> Iterator[Step | None]:
    """Yield the steps from the running peers to the wanted ones; removals come first.

    ``None`` is a yield point. Each step is found by what runs when it is its turn.

    Args:
        speaker: What runs.
        wanted: Settings by address.
        ranges: Those that there will be; default: those that there are.
    """
    peers = speaker.peers
    gone = [
        address
        for address, peer in peers.items()
        if not peer.range_name and address not in wanted
    ]
    for address in sorted(gone):
        if address in peers:
            yield removal(speaker, address, ranges)
    new: list[str] = []
    for number, address in enumerate(sorted(wanted)):
        if number % LOOKED_AT == LOOKED_AT - 1:
            yield None
        peer, settings = peers.get(address), wanted[address]
        if peer is None or peer.range_name:
            new.append(address)
        elif peer.settings is not settings and peer.settings != settings:
            cost, keys = peer_change(peer.settings, settings)
            yield Step(StepKind.PEER, Change.SET, address, cost, keys, value=settings)
    for address in new:
        yield _addition(speaker, wanted[address])


def predict(
    speaker: Speaker, steps: Sequence[Step], new: DaemonSettings
) -> Iterator[Step | None]:
    """Yield the steps of a plan with their cost for the existing sessions.

    ``None`` is a yield point.

    Args:
        speaker: What runs.
        steps: Found by comparing settings, which do not know who has a session.
        new: What there will be.
    """
    neighbours: dict[str, Step] = {}
    ranges = RangeTable()
    for each in new.ranges:
        ranges.set(each)
        yield None
    for step in steps:
        if step.kind is StepKind.PEER and step.name in speaker.peers:
            if step.change is Change.REMOVE:
                neighbours[step.name] = removal(speaker, step.name, ranges)
            elif isinstance(step.value, PeerSettings) and step.change is Change.ADD:
                neighbours[step.name] = _addition(speaker, step.value)
            yield None
    costs: dict[str, list[ChangeCost]] = {}  # by range that they were in or will be in
    for address, peer in tuple(speaker.peers.items()):
        if peer.range_name or address in neighbours:
            step = neighbours.get(address) or removal(speaker, address, ranges)
            for name in {peer.range_name, step.range_name}:
                costs.setdefault(name, []).append(step.cost)
            yield None
    names = {
        settings.prefix: settings.name
        for settings in speaker.neighbours.ranges.values()
    }
    for step in steps:
        if step.kind is StepKind.RANGE:
            after = step.value.name if isinstance(step.value, RangeSettings) else ""
            concerned = {names.get(step.name, ""), after} & costs.keys() - {""}
            found = [dearest(costs[name]) for name in concerned]
            yield replace(step, cost=dearest(found)) if found else step
        elif step.kind is StepKind.PEER:
            yield neighbours.get(step.name, step)
        else:
            yield step


def removal(speaker: Speaker, address: str, ranges: RangeTable | None = None) -> Step:
    """Return the step that takes a neighbour from its owner; a range may take it over."""
    peer = speaker.peers[address]
    step = Step(StepKind.PEER, Change.REMOVE, address, ChangeCost.RESET)
    chosen = successor_range(speaker, peer, ranges)
    if chosen is None:
        return step
    cost, keys = change_of(peer, settings_under(chosen, peer))
    return replace(step, cost=cost, keys=keys, range_name=chosen.name)


def _addition(speaker: Speaker, settings: PeerSettings) -> Step:
    address = settings.remote_addr
    step = Step(StepKind.PEER, Change.ADD, address, ChangeCost.LIVE, value=settings)
    peer = speaker.peers.get(address)
    if peer is None or not can_go_on(peer):
        return step
    cost, keys = change_of(peer, settings)
    return replace(step, cost=cost, keys=keys, range_name=peer.range_name)


def _unexpected(error: Exception) -> Exception | None:
    """Return an error that the log must show with its traceback."""
    return None if isinstance(error, OSError | ValueError) else error


class _Summary:
    """Log lines for many steps: one for each kind, not for each peer."""

    def __init__(self) -> None:
        self._counts: Counter[Change] = Counter()
        self._first: list[Step] = []

    def add(self, step: Step) -> None:
        self._counts[step.change] += 1
        if self._counts[step.change] <= SHOWN:
            self._first.append(step)

    def log(self) -> None:
        for step in self._first:
            if self._counts[step.change] <= SHOWN:
                _log.info(
                    "%(step)s",
                    {"event": "peer-changed", "step": step, **step_fields(step)},
                )
        for change, count in self._counts.items():
            if count > SHOWN:
                names = [step.name for step in self._first if step.change is change]
                _log.info(
                    "%(change)s peers: %(addresses)s",
                    {
                        "event": "peers-changed",
                        "change": change.value,
                        "addresses": Names(tuple(names), count - SHOWN),
                        "count": count,
                    },
                )
