"""The hot functions, one benchmark each, under the function's own name.

A benchmark prepares what its function needs and returns the work to be repeated. Where a
function changes a table, the work leaves the table as it was: the counterpart's cost is
part of the figure, and ``note`` says so.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, cast

from bgpd.calico.blocks import BlockTable, parse_block
from bgpd.calico.keys import affinity_key, split_affinity_key
from bgpd.config.settings import FibSettings
from bgpd.journal.route_changes import RouteChanges
from bgpd.kernel.route_programmer import RouteProgrammer
from bgpd.pipeline.local_sources import plain_sources
from bgpd.pipeline.update_receiver import UpdateReceiver
from bgpd.wire.framing import Framer
from bgpd.wire.pack import pack_announce, pack_blocks, pack_withdraw
from fib.interest import Interest
from fib.kernel import SLICE
from fib.kernel_policy import KernelPolicy, KernelRules
from fib.memory import MemoryFib
from fib.netlink.route_batch import encode_operations
from fib.plan import CREATE, RouteTable
from fib.plan import Entry as FibEntry
from fib.routes import Hop, Target
from reflector.export import Export
from reflector.group import UpdateGroup
from reflector.pacing import Pacer
from reflector.pending import PendingChanges
from reflector.rewrite import Reflection, reflect, splice
from rib.adj_rib_in import AdjRibIn
from rib.attributes import (
    AttributeContext,
    PathAttributes,
    SplicedAttributes,
    decode_usual,
    extract_mp,
)
from rib.attributes import edit as edit_block
from rib.attributes.codes import CLUSTER_LIST, MULTI_EXIT_DISC, ORIGINATOR_ID
from rib.best_path import choose
from rib.change import Change
from rib.decision import DecisionOptions, rank
from rib.family import AFI_IPV4, IPV4_UNICAST
from rib.import_checks import FilteredRoute, FilterReason, ImportChecks
from rib.loc_rib import LocRib
from rib.next_hops import NextHopTable
from rib.nlri import Nlri, split
from rib.path import NextHop, Path, Source, SourceKind
from rib.policy import (
    ACCEPT_ALL,
    Match,
    Outcome,
    Policy,
    PolicySpec,
    PrefixEntry,
    PrefixMatch,
    Term,
    compile_policy,
)
from rib.policy.prefixes import PrefixMatcher
from tests.support.exports import a_context
from tests.support.routes import some_attributes

BATCH: Final = 64  # prefixes that share attributes in one UPDATE
MANY: Final = 8192  # prefixes of a flush under load
SETS: Final = 256  # attribute sets of a flush
MEMBERS: Final = 1000

LOCAL_AS: Final = 64512
CONTEXT: Final = AttributeContext(
    is_ibgp=True, four_octet_as=True, peer_as=LOCAL_AS, local_as=LOCAL_AS
)
BLOCK: Final = some_attributes(
    as_path="65001 65002 65003", local_pref=100, med=10, communities=(0xFDE80001,)
).octets
ATTRIBUTES: Final = cast("PathAttributes", decode_usual(BLOCK, CONTEXT))


class Work(NamedTuple):
    """What is repeated.

    Attributes:
        run: One operation.
        prefixes: How many it handles.
        note: What else is in the figure.
    """

    run: Callable[[], object]
    prefixes: int = 1
    note: str = ""


def blocks(count: int) -> list[Nlri]:
    """Return distinct /26 prefixes."""
    return [b"\x1a" + (0x0A000000 + (n << 6)).to_bytes(4, "big") for n in range(count)]


def a_source(number: int = 1) -> Source:
    return Source(
        f"client-{number}",
        SourceKind.IBGP,
        address=(0x0A000000 + number).to_bytes(4, "big"),
        router_id=number,
        asn=LOCAL_AS,
        is_client=True,
        cluster_id=0x0A0000FE,
    )


def a_path(number: int = 1) -> Path:
    return Path(a_source(number), ATTRIBUTES, NextHop(ATTRIBUTES.next_hop))


def an_update(nlris: list[Nlri], block: bytes = BLOCK) -> bytes:
    return pack_announce(IPV4_UNICAST, block, b"", nlris, 4096)


def import_rules(policy: Policy | None = None) -> ImportChecks:
    return ImportChecks(
        policy or Policy(ACCEPT_ALL),
        local_as=LOCAL_AS,
        router_id=0x0A0000FE,
        cluster_ids=frozenset((0x0A0000FE,)),
    )


def prefix_policy() -> Policy:
    entry = PrefixEntry(AFI_IPV4, b"\x0a\x0a\x00", 26, 26)
    match = Match(prefixes=PrefixMatch((entry,)))
    term = Term("blocks", Outcome.ACCEPT, match)
    return compile_policy(PolicySpec("blocks", (term,)))


def an_adj_rib_in() -> AdjRibIn:
    return AdjRibIn(a_source(), LocRib(IPV4_UNICAST), import_rules(), NextHopTable())


# -- octets in ----------------------------------------------------------------------------


def feed() -> Work:
    chunk = an_update(blocks(BATCH)) * 100
    framer = Framer()
    return Work(lambda: framer.feed(chunk), BATCH * 100, "100 UPDATEs")


def split_run() -> Work:
    run = b"".join(blocks(BATCH))
    return Work(lambda: split(run), BATCH)


def decode() -> Work:
    return Work(lambda: decode_usual(BLOCK, CONTEXT))


def extract() -> Work:
    reach = b"\x90\x0e\x00\x15\x00\x02\x01\x10" + bytes(17)
    block = reach + BLOCK
    return Work(lambda: extract_mp(block))


def edit() -> Work:
    changes: dict[int, bytes | None] = {9: bytes(4), 10: bytes(8)}
    return Work(lambda: edit_block(BLOCK, changes))


def take() -> Work:
    intake = UpdateReceiver({IPV4_UNICAST: an_adj_rib_in()}, CONTEXT)
    announced = [an_update(blocks(BATCH))[19:]]
    withdrawn = [pack_withdraw(IPV4_UNICAST, blocks(BATCH), 4096)[19:]]

    def run() -> None:
        intake.take(announced)
        intake.take(withdrawn)

    return Work(run, BATCH, "with the withdrawal")


def take_replaced() -> Work:
    intake = UpdateReceiver({IPV4_UNICAST: an_adj_rib_in()}, CONTEXT)
    other = edit_block(BLOCK, {MULTI_EXIT_DISC: bytes(4)})
    updates = [
        [an_update([nlri], block)[19:] for nlri in blocks(BATCH)]
        for block in (BLOCK, other)
    ]

    def run() -> None:
        for bodies in updates:
            intake.take(bodies)

    run()
    return Work(run, 2 * BATCH, "each of one prefix, whose path it replaces")


# -- tables -------------------------------------------------------------------------------


def check() -> Work:
    rules, source = import_rules(), a_source()
    return Work(lambda: rules.check(ATTRIBUTES, source))


def announce_from_peer() -> Work:
    rib, nlris = an_adj_rib_in(), blocks(BATCH)
    outcome = rib.outcomes.decide(BLOCK, ATTRIBUTES)

    def run() -> None:
        rib.announce(outcome, nlris)
        rib.withdraw(nlris)

    return Work(run, BATCH, "with the withdrawal")


def forget_filtered() -> Work:
    rib, nlris = an_adj_rib_in(), blocks(BATCH)
    why = FilteredRoute(ATTRIBUTES, FilterReason.POLICY)
    rib.filter_out(why, [b"\x18\xc6\x33\x64"], 0)
    return Work(lambda: rib.filtered.forget(nlris, 0), BATCH, "another was filtered")


def announce() -> Work:
    table, path, nlris = LocRib(IPV4_UNICAST), a_path(), blocks(BATCH)

    def run() -> None:
        table.announce(nlris, path)
        table.withdraw(nlris, path.source)

    return Work(run, BATCH, "with the withdrawal")


def announce_second() -> Work:
    table, first, second = LocRib(IPV4_UNICAST), a_path(1), a_path(2)
    nlris = blocks(BATCH)
    table.announce(nlris, first)

    def run() -> None:
        table.announce(nlris, second)
        table.withdraw(nlris, second.source)

    return Work(run, BATCH, "beside another path, with the withdrawal")


def announce_regrouped() -> Work:
    """Every prefix has an entry of its own: paths differ as those of a full table do."""
    table, nlris = LocRib(IPV4_UNICAST), blocks(BATCH)
    source, second = a_source(1), a_path(2)
    hop = NextHop(ATTRIBUTES.next_hop)
    for number, nlri in enumerate(nlris):
        attributes = some_attributes(f"65001 {number + 1}", local_pref=100)
        table.announce([nlri], Path(source, attributes, hop))

    def run() -> None:
        table.announce(nlris, second)
        table.withdraw(nlris, second.source)

    return Work(run, BATCH, "beside others, one each, with the withdrawal")


def rank_paths() -> Work:
    paths, options = [a_path(n) for n in range(1, 5)], DecisionOptions()
    return Work(lambda: rank(paths, options), note="4 paths")


def choose_path() -> Work:
    paths, options = [a_path(n) for n in range(1, 3)], DecisionOptions()
    return Work(lambda: choose(paths, options), note="2 paths")


def evaluate() -> Work:
    policy, source = Policy(ACCEPT_ALL), a_source()
    return Work(lambda: policy.evaluate(ATTRIBUTES, source, IPV4_UNICAST, None))


def apply_batch() -> Work:
    policy, source, nlris = prefix_policy(), a_source(), blocks(BATCH)
    return Work(
        lambda: policy.apply_batch(nlris, ATTRIBUTES, source, IPV4_UNICAST), BATCH
    )


def divide() -> Work:
    entry = PrefixEntry(AFI_IPV4, b"\x0a\x0a\x00", 26, 26)
    matcher, nlris = PrefixMatcher(PrefixMatch((entry,)), AFI_IPV4), blocks(BATCH)
    return Work(lambda: matcher.divide(nlris), BATCH)


# -- octets out ---------------------------------------------------------------------------


def add() -> Work:
    pending, path, nlris = PendingChanges({}), a_path(), blocks(BATCH)
    changes = [Change(None, path, nlris)]

    def run() -> None:
        pending.add(changes)
        pending.drain(MANY)

    return Work(run, BATCH, "with drain")


def export() -> Work:
    outgoing, path = Export(a_context(), Policy(ACCEPT_ALL)), a_path()
    return Work(lambda: outgoing(path))


def export_again() -> Work:
    outgoing, path = Export(a_context(), Policy(ACCEPT_ALL)), a_path()
    return Work(lambda: outgoing.outgoing(path), note="remembered")


def a_prefix_policy() -> PolicySpec:
    """Return a policy as a node of a cluster has: most routes are inside a pool."""
    own = PrefixEntry(AFI_IPV4, b"\x1a" + bytes((10, 0, 1, 0)), 26, 32)
    pool = PrefixEntry(AFI_IPV4, b"\x08\x0a", 8, 32)
    terms = (
        Term("own", Outcome.REJECT, Match(prefixes=PrefixMatch((own,)))),
        Term("pool", Outcome.ACCEPT, Match(prefixes=PrefixMatch((pool,)))),
    )
    return PolicySpec("by-prefix", terms)


def divide_export() -> Work:
    outgoing = Export(a_context(), Policy(a_prefix_policy()))
    path, nlris = a_path(), blocks(BATCH)
    return Work(lambda: outgoing.divide(path, nlris), BATCH, "by prefix")


def divide_kernel() -> Work:
    rules = KernelRules(KernelPolicy(a_prefix_policy(), 1024), IPV4_UNICAST)
    path, nlris = a_path(), blocks(BATCH)
    return Work(lambda: rules.divide(nlris, path), BATCH, "by prefix")


def reflect_block() -> Work:
    reflection = Reflection(1, bytes(4))
    return Work(lambda: reflect(ATTRIBUTES, reflection))


def splice_block() -> Work:
    block = edit_block(BLOCK, {ORIGINATOR_ID: bytes(4), CLUSTER_LIST: bytes(8)})
    attributes = cast("SplicedAttributes", decode_usual(block, CONTEXT))
    reflection = Reflection(1, bytes(4))
    return Work(lambda: splice(attributes, reflection))


def a_group() -> UpdateGroup:
    export = Export(a_context(), Policy(ACCEPT_ALL))
    return UpdateGroup(export, pack_announce, pack_withdraw, pack_blocks)


def encode() -> Work:
    group = a_group()
    changes = [Change(None, a_path(), blocks(MANY))]
    return Work(lambda: group.encode(changes), MANY)


def flush() -> Work:
    group, path = a_group(), a_path()
    for number in range(MEMBERS):
        group.join(a_source(number))
    changes = [Change(None, path, blocks(1))]
    return Work(lambda: group.flush(changes), note=f"{MEMBERS} members")


def admit() -> Work:
    pacer, path = Pacer(5.0), a_path()
    changes = [Change(None, path, [nlri]) for nlri in blocks(256)]
    return Work(lambda: pacer.admit(changes, 0.0), 256, "new prefixes")


def admit_known() -> Work:
    old, new = a_path(), a_path(2)
    changes = [Change(old, new, [nlri]) for nlri in blocks(256)]
    return Work(lambda: Pacer(5.0).admit(changes, 0.0), 256, "each changes once")


def pack() -> Work:
    nlris = blocks(BATCH)
    return Work(lambda: pack_announce(IPV4_UNICAST, BLOCK, b"", nlris, 4096), BATCH)


def pack_many() -> Work:
    nlris = blocks(SETS)
    routes = {
        BLOCK + number.to_bytes(4, "big"): [nlri] for number, nlri in enumerate(nlris)
    }
    return Work(lambda: pack_blocks(routes, BLOCK[:4], 4096), SETS)


# -- kernel -------------------------------------------------------------------------------


def feed_fib() -> Work:
    fib = MemoryFib()
    feed = RouteProgrammer(fib, IPV4_UNICAST, FibSettings(), {}, plain_sources())
    path, nlris = a_path(), blocks(MANY)
    there, gone = [Change(None, path, nlris)], [Change(path, None, nlris)]

    def run() -> None:
        feed.changed(there)
        feed.changed(gone)

    return Work(run, MANY, "with the withdrawal")


def touched() -> Work:
    interest, nlris = Interest(), blocks(MANY)
    for n in range(100):
        interest.add(bytes((192, 0, 2, n)))
    return Work(lambda: interest.touched(nlris), MANY)


def a_fib_entry() -> FibEntry:
    entry = FibEntry(Target(hops=(Hop(bytes(4)),)), 0, uses_object=True)
    entry.image, entry.is_ready, entry.body = 1, True, (bytes(8), bytes(16))
    return entry


def keep_changes() -> Work:
    kept = RouteChanges(IPV4_UNICAST, 4 * MANY)
    changes = [Change(None, a_path(), blocks(BATCH)) for _ in range(SETS)]
    return Work(lambda: kept.add(1, 0.0, changes), BATCH * SETS, "256 sets")


def submit() -> Work:
    routes, entry, nlris = RouteTable(), a_fib_entry(), blocks(MANY)
    return Work(lambda: routes.submit(nlris, entry), MANY)


def take_new() -> Work:
    routes, entry, nlris = RouteTable(), a_fib_entry(), blocks(MANY)

    def run() -> None:
        routes.submit(nlris, entry)
        routes.whole_moves()
        while routes.next_new() is not None:
            routes.take_new(entry, SLICE)
        routes.wanted.clear()

    return Work(run, MANY, "submitted, arranged, taken")


def operations() -> Work:
    entry = a_fib_entry()
    wanted = [(CREATE, nlri, entry) for nlri in blocks(400)]
    return Work(lambda: encode_operations(wanted, AFI_IPV4, 1), 400)


# -- the cluster's state ------------------------------------------------------------------


def block() -> Work:
    return Work(lambda: parse_block("10.244.44.192/26"))


def affinity() -> Work:
    key = affinity_key("node-12", "10.244.44.192/26")
    return Work(lambda: split_affinity_key(key))


def update_blocks() -> Work:
    table = BlockTable()
    value = b'{"state":"confirmed","deleted":"false"}'
    keys = [affinity_key("n", f"10.{n >> 8}.{n & 255}.0/26") for n in range(BATCH)]
    puts = [(key, value) for key in keys]

    def run() -> None:
        table.update(puts, ())
        table.update((), keys)

    return Work(run, BATCH, "with the removal")


BENCHMARKS: Final[dict[str, Callable[[], Work]]] = {
    "bgpd.wire.framing.Framer.feed": feed,
    "bgpd.wire.pack.pack_announce": pack,
    "bgpd.wire.pack.pack_blocks": pack_many,
    "bgpd.pipeline.update_receiver.UpdateReceiver.take": take,
    "bgpd.pipeline.update_receiver.UpdateReceiver.take, replaced": take_replaced,
    "bgpd.kernel.route_programmer.RouteProgrammer.changed": feed_fib,
    "fib.interest.Interest.touched": touched,
    "bgpd.calico.blocks.parse_block": block,
    "bgpd.calico.blocks.BlockTable.update": update_blocks,
    "bgpd.calico.keys.split_affinity_key": affinity,
    "rib.nlri.split": split_run,
    "rib.attributes.decode.decode_usual": decode,
    "rib.attributes.mp.extract_mp": extract,
    "rib.attributes.path_attributes.edit": edit,
    "rib.import_checks.ImportChecks.check": check,
    "rib.adj_rib_in.AdjRibIn.announce": announce_from_peer,
    "rib.filtered_routes.FilteredRoutes.forget": forget_filtered,
    "rib.loc_rib.LocRib.announce_all": announce,
    "rib.loc_rib.LocRib.announce_all, second": announce_second,
    "rib.loc_rib.LocRib.announce_all, regrouped": announce_regrouped,
    "rib.best_path.choose": choose_path,
    "rib.decision.rank": rank_paths,
    "rib.policy.engine.Policy.evaluate": evaluate,
    "rib.policy.engine.Policy.apply_batch": apply_batch,
    "rib.policy.prefixes.PrefixMatcher.divide": divide,
    "reflector.pending.PendingChanges.add": add,
    "reflector.export.Export.__call__": export,
    "reflector.export.Export.outgoing": export_again,
    "reflector.export.Export.divide": divide_export,
    "fib.kernel_policy.KernelRules.divide": divide_kernel,
    "reflector.rewrite.reflect": reflect_block,
    "reflector.rewrite.splice": splice_block,
    "reflector.group.UpdateGroup.encode": encode,
    "reflector.group.UpdateGroup.flush": flush,
    "reflector.pacing.Pacer.admit": admit,
    "reflector.pacing.Pacer.admit, known": admit_known,
    "bgpd.journal.route_changes.RouteChanges.add": keep_changes,
    "fib.plan.RouteTable.submit": submit,
    "fib.plan.RouteTable.take_new": take_new,
    "fib.netlink.route_batch.encode_operations": operations,
}

# Hot functions that other benchmarks run: they make no sense alone.
WITHIN: Final[dict[str, str]] = {
    "bgpd.journal.route_changes._Block.add": "bgpd.journal.route_changes.RouteChanges.add",
    "bgpd.journal.event_counts.EventCounts.add": "scenario rr",
    "bgpd.journal.event_journal.EventJournal.note_changes": "scenario rr",
    "bgpd.journal.event_journal.Recorder.changed": "scenario rr",
    "fib.plan.RouteTable._all_new": "scenario fib",
    "fib.plan._count_pairs": "scenario fib, flush",
    "fib.waiting.Waiting.take_new": "fib.plan.RouteTable.take_new",
    "fib.new_routes.spread": "fib.plan.RouteTable.take_new",
    "fib.netlink.route_batch.encode_alike": "fib.netlink.route_batch.encode_operations",
    "bgpd.net.driver.PeerDriver.write": "scenario rr, churn",
    "bgpd.pipeline.family_tables.FamilyTables.changed": "scenario rr",
    "bgpd.pipeline.flush_scheduler.FlushScheduler.changed": "scenario rr",
    "bgpd.pipeline.propagation.Propagation.note_decided": "scenario rr, churn",
    "bgpd.pipeline.transmit_queue.TransmitQueue.drain": "scenario rr, churn",
    "bgpd.speaker.peer.Peer.updates_received": "scenario full",
    "bgpd.speaker.peer_imports.PeerImports.take": "scenario full",
    "bgpd.net.tcp_connection.Connection.write": "scenario rr, churn",
    "bgpd.net.tcp_connection.Connection.ready": "scenario rr, full",
    "bgpd.net.poller.Poller._turn": "scenario rr, churn",
    "bgpd.session.connection_fsm.Connection.take_usual": "scenario full",
    "bgpd.session.peer.PeerSession.receive_updates": "scenario full",
    "rib.decision.steps_before_med": "rib.decision.rank",
    "rib.best_path.choose_of_two": "rib.loc_rib.LocRib.announce_all, regrouped",
    "rib.best_path._choose_usual": "rib.loc_rib.LocRib.announce_all, regrouped",
    "rib.adj_rib_in.AdjRibIn.announce_all": "bgpd.pipeline.update_receiver.UpdateReceiver.take",
    "rib.nlri.split_tail": "bgpd.pipeline.update_receiver.UpdateReceiver.take",
    "reflector.plain_reflection.put_reflected": "reflector.group.UpdateGroup.encode",
    "fib.kernel.KernelFib.submit": "fib.plan.RouteTable.submit, scenario fib",
    "fib.plan.RouteTable.decide": "scenario fib",
    "fib.plan.RouteTable.audit": "scenario fib",
    "fib.netlink.rtnetlink.parse_route_dump": "scenario fib",
}
