"""UPDATEs of one session -> changes of the tables: the way in, one object per session.

The usual UPDATE (IPv4, one attribute block seen before, nothing withdrawn) takes the short
way: a dictionary look-up by the block's octets, one split, one batch into Loc-RIB. All else
takes the long way through ``decode_block`` and RFC 7606's remedies: treat-as-withdraw and
attribute discard leave the session alone, and only what the RFC calls a reset ends it.

Sans-IO: bodies come in, changes and complaints go out as values.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from struct import Struct

from bgpd.wire.errors import ErrorCode, NotifyError, UpdateSubcode
from bgpd.wire.update import split_fields
from rib.adj_rib_in import AdjRibIn
from rib.attributes import (
    AttributeContext,
    DecodedBlock,
    MpReach,
    MpUnreach,
    PathAttributes,
    decode_block,
    decode_usual,
    extract_mp,
    usual_form,
)
from rib.change import Change
from rib.errors import Problem, Remedy
from rib.family import IPV4_UNICAST, Family
from rib.nlri import Nlri, NlriError, split, split_add_path, split_tail
from rib.outcome import Outcome
from rib.path import Path

# Theory
# ------
# What arrives is a list of UPDATE bodies, as many as one read of the socket held. What a
# body means is RFC 4271 4.3 and RFC 4760; what to do with a bad one is RFC 7606. Both need
# the attributes decoded, which costs as much as everything else together. But a table of a
# million prefixes has some 50,000 distinct attribute blocks, and a flapping peer sends the
# same ones again: so the block's octets are the key of what import made of it.
#
#       body --> only announces IPv4, block known --> run of (path, prefixes) -.
#        |                                                                      > AdjRibIn
#        '-----> anything else --> split_fields --> decode_block --> remedies -'
#
# Invariants:
#
# * Both ways give the same tables for the same octets (tests/property/test_short_ways.py).
#   The fast path handles exactly what it recognises: no withdrawn routes, attributes that
#   end before the body does, an outcome that is a plain `Path`. Everything else goes to
#   `_take_any`, whose result is right for every body.
# * Order is kept. Runs gathered by the fast path are handed over before a body takes the
#   slow one, and in `finally`: an error in the third UPDATE leaves the first two in force,
#   and with graceful restart they outlive the session.
# * A key never stands for two meanings: with a next hop or an identifier outside of the
#   block, they are part of the key; a block with MP attributes beside NLRI has a key of
#   its own shape, because the fast path must not skip what it holds.
# * Only what the RFC calls a session reset raises; treat-as-withdraw withdraws the
#   prefixes that the UPDATE names, and a discarded attribute is a note for the log.
# * An UPDATE without reachable NLRI resets nothing on account of a check about routes.
#
# Deliberately not here: policy and loops (`rib.import_checks`), limits (`rib.admission`),
# the log (`bgpd.pipeline.update_error_log`), the session's end (its owner reads `error`).
#
# Sources: RFC 4271 4.3, 6.3; RFC 4760 3, 4, 7; RFC 7606; RFC 4724 2; RFC 7911 3.

_MP_REACH_HEAD = Struct(">HBB")


@dataclass(slots=True)
class Taken:
    """The result of a batch of UPDATEs.

    Attributes:
        changes: What changed in each family's Loc-RIB.
        ended: Families whose End-of-RIB arrived (RFC 4724 2).
        complaints: Problems met, each with the UPDATE's body, for the log. A block that
            is remembered despite a discarded attribute is complained of once.
        error: Set when the session must end; later UPDATEs were not looked at.
        body: Of the UPDATE that it is about.
        fault: An internal error that stopped the processing. Changes made by then must be
            passed on all the same: peers would otherwise never agree with our tables again.
    """

    changes: dict[Family, list[Change]] = field(default_factory=dict)
    ended: list[Family] = field(default_factory=list)
    complaints: list[tuple[Problem, bytes]] = field(default_factory=list)
    error: NotifyError | None = None
    body: bytes = b""
    fault: Exception | None = None


class UpdateReceiver:
    """Turns the UPDATEs of one session into changes of the tables.

    Args:
        tables: The session's negotiated families.
        context: What attribute decoding depends on.
        add_path: Families in which the peer sends path identifiers.
    """

    def __init__(
        self,
        tables: Mapping[Family, AdjRibIn],
        context: AttributeContext,
        add_path: frozenset[Family] = frozenset(),
    ) -> None:
        self.tables = dict(tables)
        self._context = context
        self._add_path = add_path
        plain = IPV4_UNICAST in self.tables and IPV4_UNICAST not in add_path
        plain = plain and not context.looks_through
        self._plain_ipv4 = self.tables[IPV4_UNICAST] if plain else None

    # hot: per UPDATE
    def take(self, bodies: Iterable[bytes]) -> Taken:
        """Process a batch of UPDATE bodies in order."""
        taken = Taken()
        changes: list[Change] = []
        taken.changes[IPV4_UNICAST] = changes
        try:
            if self._plain_ipv4 is None:
                for body in bodies:
                    taken.body = body
                    self._take_any(body, taken)
            else:
                self._take_plain(self._plain_ipv4, bodies, taken)
        except NotifyError as error:
            taken.error = error
        except NlriError as error:
            # RFC 7606 5.3: if the prefixes are unreadable, only a reset is left.
            taken.error = NotifyError(
                ErrorCode.UPDATE,
                UpdateSubcode.INVALID_NETWORK_FIELD,
                text=f"UPDATE: {error}",
            )
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # the caller raises it
            taken.fault = error
        if taken.error is not None:
            _complain_of_reset(taken, taken.error)
        return taken

    def _take_plain(
        self, table: AdjRibIn, bodies: Iterable[bytes], taken: Taken
    ) -> None:
        """Process UPDATE bodies; bodies that only advertise IPv4 routes take the fast path.

        What is accepted is gathered, so that the tables are asked once for a run of them.
        """
        changes = taken.changes[IPV4_UNICAST]
        known = table.outcomes.known
        # Side by side: pairs would be as many objects more for the collector to look at.
        paths: list[Path] = []
        runs: list[list[Nlri]] = []
        add_path, add_run = paths.append, runs.append
        body = b""
        try:
            for body in bodies:
                # No withdrawn routes, and attributes shorter than the body.
                size = len(body)
                if size > 4 and not body[0] and not body[1]:
                    end = 4 + (body[2] << 8 | body[3])
                    if 4 < end < size:
                        block = body[4:end]
                        outcome = known(block)
                        if outcome is None:
                            outcome = self._learn(table, block)
                        if outcome is not None:
                            run = split_tail(body, end)
                            if type(outcome) is Path and type(run) is list:
                                add_run(run)
                                add_path(outcome)
                                continue
                            changes += table.announce_all(paths, runs)
                            changes += table.announce(outcome, run)
                            continue
                changes += table.announce_all(paths, runs)
                self._take_any(body, taken)
        except (NotifyError, NlriError):
            taken.body = body
            raise
        finally:
            changes += table.announce_all(paths, runs)

    def _learn(self, table: AdjRibIn, received: bytes) -> Outcome | None:
        """Remember a block without special features, so that it takes the fast path next time."""
        block = usual_form(received)
        if block is not received:
            outcome = table.outcomes.known(block)
            if outcome is not None:
                return outcome
        attributes = decode_usual(block, self._context)
        if attributes is not None:
            return table.outcomes.decide(block, attributes)
        decoded = decode_block(block, self._context, has_nlri=True)
        attributes = decoded.attributes
        if (
            attributes is None
            or decoded.problems
            or decoded.mp_reach is not None
            or decoded.mp_unreach is not None
        ):
            return None
        return table.outcomes.decide(block, attributes)

    def _take_any(self, body: bytes, taken: Taken) -> None:
        withdrawn, block, nlri = split_fields(body)
        if not block and not nlri:
            if withdrawn:
                self._withdraw(IPV4_UNICAST, withdrawn, taken)
            elif IPV4_UNICAST in self.tables:
                taken.ended.append(IPV4_UNICAST)
            return
        if withdrawn:
            self._withdraw(IPV4_UNICAST, withdrawn, taken)
        if not nlri and self._take_known_mp(block, taken):
            return
        decoded = decode_block(block, self._context, has_nlri=bool(nlri))
        self._complain(decoded, body, taken)
        if decoded.mp_unreach is not None:
            self._take_unreach(decoded.mp_unreach, taken)
        if nlri:
            self._take_nlri(nlri, block, decoded, taken)
        reach, attributes = decoded.mp_reach, decoded.mp_attributes
        if reach is not None and attributes is not None:
            self._take_reach(reach, block, attributes, taken)
        elif reach is not None:
            self._withdraw(reach.family, reach.nlri, taken)

    def _complain(self, decoded: DecodedBlock, body: bytes, taken: Taken) -> None:
        """Record the problems; raise for a reset."""
        for problem in decoded.problems:
            taken.complaints.append((problem, body))
            if problem.remedy is Remedy.SESSION_RESET:
                raise NotifyError(
                    ErrorCode.UPDATE,
                    problem.subcode,
                    data=problem.data,
                    text=problem.text,
                )

    def _take_known_mp(self, block: bytes, taken: Taken) -> bool:
        """Process an UPDATE with MP attributes only, if its other attributes are known."""
        parts = extract_mp(block)
        if parts is None:
            return False
        rest, reach, unreach = parts
        if reach is None or unreach is not None or len(reach) < 5:
            return False
        afi, safi, next_hop_len = _MP_REACH_HEAD.unpack_from(reach)
        if len(reach) < 5 + next_hop_len:
            return False
        family = Family(afi, safi)
        table = self.tables.get(family)
        if table is None or family in self._add_path:
            return False
        outcome = table.outcomes.known((reach[4 : 4 + next_hop_len], rest))
        if outcome is None:
            return False
        nlris = split(reach[5 + next_hop_len :], family.afi)
        _record(taken, family, table.announce(outcome, nlris))
        return True

    def _take_nlri(
        self, nlri: bytes, block: bytes, decoded: DecodedBlock, taken: Taken
    ) -> None:
        if decoded.attributes is None:  # treat-as-withdraw
            self._withdraw(IPV4_UNICAST, nlri, taken)
            return
        # What is known by its block alone is taken by the short way, which must not pass
        # over MP attributes.
        is_plain = decoded.mp_reach is None and decoded.mp_unreach is None
        key = block if is_plain else (b"", block)
        self._announce(IPV4_UNICAST, key, decoded.attributes, nlri, taken)

    def _take_reach(
        self, reach: MpReach, block: bytes, attributes: PathAttributes, taken: Taken
    ) -> None:
        parts = extract_mp(block)
        key: Hashable = (reach.next_hop, block)
        if parts is not None and parts[1] is not None:
            # As it came: what is sent of two addresses may mean one of them alone.
            key = (parts[1][4 : 4 + parts[1][3]], parts[0])
        self._announce(reach.family, key, attributes, reach.nlri, taken)

    def _announce(
        self,
        family: Family,
        key: Hashable,
        attributes: PathAttributes,
        run: bytes,
        taken: Taken,
    ) -> None:
        table = self.tables.get(family)
        if table is None:
            return  # not negotiated: ignored, RFC 4760 6
        if family not in self._add_path:
            nlris = split(run, family.afi)
            outcome = table.outcomes.known(key) or table.outcomes.decide(
                key, attributes
            )
            _record(taken, family, table.announce(outcome, nlris))
            return
        for path_id, nlris in split_add_path(run, family.afi).items():
            own_key = (path_id, key)
            outcome = table.outcomes.known(own_key) or table.outcomes.decide(
                own_key, attributes, path_id
            )
            _record(taken, family, table.announce(outcome, nlris, path_id))

    def _take_unreach(self, unreach: MpUnreach, taken: Taken) -> None:
        if unreach.nlri:
            self._withdraw(unreach.family, unreach.nlri, taken)
        elif unreach.family in self.tables:
            taken.ended.append(unreach.family)

    def _withdraw(self, family: Family, run: bytes, taken: Taken) -> None:
        table = self.tables.get(family)
        if table is None:
            return
        if family in self._add_path:
            for path_id, nlris in split_add_path(run, family.afi).items():
                _record(taken, family, table.withdraw(nlris, path_id))
        else:
            _record(taken, family, table.withdraw(split(run, family.afi)))


def _complain_of_reset(taken: Taken, error: NotifyError) -> None:
    """Record what ends the session, unless the attributes' decoder has said so."""
    body = taken.body
    if taken.complaints:
        problem, found_in = taken.complaints[-1]
        if found_in is body and problem.remedy is Remedy.SESSION_RESET:
            return
    remedy = Remedy.SESSION_RESET  # demanded by what raised the error
    problem = Problem(remedy, error.text, subcode=int(error.subcode), data=error.data)
    taken.complaints.append((problem, body))


def _record(taken: Taken, family: Family, changes: list[Change]) -> None:
    taken.changes.setdefault(family, []).extend(changes)
