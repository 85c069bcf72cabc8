"""Builders for tests of reflection and export; every argument has a default."""

from dataclasses import replace
from typing import Any

from bgpd.wire.pack import pack_announce, pack_blocks, pack_withdraw
from reflector.export import Export, ExportContext, Outgoing, PeerType
from reflector.group import UpdateGroup
from reflector.member_fsm import Member
from reflector.path_ids import PathIds
from rib.attributes.path_attributes import PathAttributes, iterate
from rib.family import IPV4_UNICAST
from rib.path import NextHop, Path, Source, SourceKind
from rib.policy import ACCEPT_ALL, PolicySpec, compile_policy
from tests.support.routes import some_attributes

LOCAL_AS = 64512
SELF = bytes((10, 0, 0, 1))
SELF_IPV6 = bytes.fromhex("fd000000000000000000000000000001")
CLUSTER = 0x0A000001


def a_context(peer_type: PeerType = PeerType.CLIENT, **changes: Any) -> ExportContext:
    context = ExportContext(
        family=IPV4_UNICAST,
        peer_type=peer_type,
        local_as=LOCAL_AS,
        local_address=SELF,
        router_id=CLUSTER,
        cluster_id=CLUSTER,
    )
    return replace(context, **changes)


def from_peer(
    kind: SourceKind = SourceKind.IBGP,
    attributes: PathAttributes | None = None,
    *,
    received: PathAttributes | None = None,
    is_client: bool = False,
    cluster_id: int = CLUSTER,
    router_id: int = 0x0A000063,
) -> Path:
    source = Source(
        kind.name.lower(),
        kind,
        address=bytes((10, 0, 0, 99)) if kind >= SourceKind.EBGP else b"",
        router_id=router_id,
        asn=LOCAL_AS if kind is SourceKind.IBGP else 65001,
        is_client=is_client,
        cluster_id=cluster_id,
    )
    attributes = attributes or some_attributes(local_pref=100)
    return Path(source, attributes, NextHop(attributes.next_hop), received=received)


def a_client(number: int) -> Source:
    """Return a client of cluster 7."""
    return Source(
        f"client {number}",
        SourceKind.IBGP,
        address=bytes((10, 0, 0, number)),
        router_id=number,
        is_client=True,
        cluster_id=7,
    )


def group_of(export: Export, path_ids: PathIds | None = None) -> UpdateGroup:
    """Return a group that packs as the daemon's do."""
    return UpdateGroup(export, pack_announce, pack_withdraw, pack_blocks, path_ids)


def told(
    path: Path, context: ExportContext | None = None, spec: PolicySpec = ACCEPT_ALL
) -> Outgoing | None:
    """Return what a group of that context receives of ``path``."""
    return Export(context or a_context(), compile_policy(spec))(path)


def values(outgoing: Outgoing | None) -> dict[int, bytes]:
    """Return type code -> value octets of what is advertised."""
    assert outgoing is not None
    return {code: value for _, code, value in iterate(outgoing.attributes)}


def make_current(member: Member) -> Member:
    """Feed a member all that leads to CURRENT, as if it had been sent the whole table."""
    member.joined(b"")
    member.walk_began()
    member.walk_finished()
    member.end_allowed()
    return member
