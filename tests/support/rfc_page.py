"""docs/rfc-compliance.md: a hand-kept list of RFCs, and the clauses that tests prove."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from rib.attributes.scoped import SCOPED
from rib.attributes.table import TABLE as TABLE_OF_ATTRIBUTES
from rib.errors import Remedy
from tests.support.rfc_markers import Clause, clauses

ROOT: Final = Path(__file__).parents[2]

DONE, PARTLY, NOT = "done", "partly", "not"


class Standard(NamedTuple):
    """One RFC or draft and where we stand.

    Attributes:
        name: Its number, or ``draft NAME``.
        title: What it is about, in a few words.
        status: ``done``, ``partly`` or ``not``.
        remark: What is missing, or how it is used.
    """

    name: str
    title: str
    status: str
    remark: str = ""


STANDARDS: Final = (
    Standard(
        "4271",
        "BGP-4",
        DONE,
        "but see the deviations below; aggregates are configured, without AS_SET",
    ),
    Standard("1997", "communities", DONE, "well-known ones bind whatever policy says"),
    Standard(
        "2385",
        "TCP MD5",
        DONE,
        "for a peer or a range; a session keeps the key that works while it is changed",
    ),
    Standard(
        "2545",
        "IPv6 next hops",
        DONE,
        "both addresses to another AS on a shared link, the global one within an AS; a link-local one never leaves its link",
    ),
    Standard("2918", "route refresh", DONE),
    Standard(
        "4007",
        "IPv6 scoped addresses",
        DONE,
        "neighbours, ranges, next hops and keys have their zone, the device's name",
    ),
    Standard(
        "3765",
        "NO_PEER",
        PARTLY,
        "policies know its name; nothing obeys it automatically",
    ),
    Standard(
        "4360",
        "extended communities",
        PARTLY,
        "carried and shown; policies match and set them",
    ),
    Standard("4456", "route reflection", DONE, "with a cluster id for each peer"),
    Standard("4486", "Cease subcodes", DONE, "all but 8, out of resources, are sent"),
    Standard(
        "4724",
        "graceful restart",
        DONE,
        "both roles, each family by itself; but see the deviations below",
    ),
    Standard("4760", "multiprotocol", PARTLY, "IPv4 unicast and IPv6 unicast only"),
    Standard("5004", "keep the external best path", DONE, "off by default"),
    Standard("5082", "GTSM", DONE, "`ttl_security_hops`"),
    Standard(
        "5396",
        "AS numbers as text",
        DONE,
        "written in plain form; dotted form is accepted",
    ),
    Standard(
        "5492", "capabilities", DONE, "a peer without them gets one attempt without"
    ),
    Standard("5668", "4-octet AS in extended communities", PARTLY, "as RFC 4360"),
    Standard("5701", "IPv6 extended communities", PARTLY, "carried and shown"),
    Standard("6286", "BGP identifiers", DONE),
    Standard(
        "6396",
        "MRT",
        PARTLY,
        "written: TABLE_DUMP_V2 of unicast and BGP4MP_ET, with RFC 8050; not RFC 6397",
    ),
    Standard("6608", "FSM error subcodes", DONE),
    Standard(
        "7854",
        "BMP",
        PARTLY,
        "Adj-RIB-In before policy; not after it, and no mirroring; not RFC 8671",
    ),
    Standard("9069", "BMP for Loc-RIB", DONE, "best paths, as import policy left them"),
    Standard("6793", "4-octet AS numbers", DONE),
    Standard("6996", "private AS numbers", DONE, "hidden by `remove_private_as`"),
    Standard(
        "7311",
        "AIGP",
        PARTLY,
        "accepted from internal peers and used if `aigp` is on; not originated; sent "
        "to internal peers as long as the next hop is unchanged, and never to "
        "external ones",
    ),
    Standard(
        "7313",
        "enhanced route refresh",
        DONE,
        "a refresh without an end is over after `graceful_restart.stale_path_time`",
    ),
    Standard("7606", "error handling of UPDATEs", DONE, "without AFI/SAFI disable"),
    Standard("7607", "AS 0", DONE, "also inside the AS"),
    Standard(
        "7705",
        "AS migration",
        PARTLY,
        "`local_as` and `local_as_mode`; an OPEN offers one AS number, and `dual_as` "
        "tries the other",
    ),
    Standard("7911", "add-path", DONE, "all paths or the best N; identifiers stay"),
    Standard("7938", "BGP in data centres", DONE, "multipath relax, own AS, local AS"),
    Standard(
        "7999",
        "BLACKHOLE",
        DONE,
        "import policy says which routes with it are dropped here: `next_hop: discard`",
    ),
    Standard("8092", "large communities", DONE, "carried, shown, matched and set"),
    Standard("8195", "use of large communities", PARTLY, "possible, not described"),
    Standard("8203", "shutdown communication", DONE, "see RFC 9003, which replaced it"),
    Standard("8212", "eBGP denies by default", DONE, "but see the deviations below"),
    Standard(
        "8326",
        "graceful shutdown",
        DONE,
        "honoured unless `graceful_shutdown: off`; sent by `pybgpctl drain`, by a node's "
        "label, and with `drain.at_shutdown` before an end",
    ),
    Standard("8538", "notifications and graceful restart", DONE),
    Standard("8642", "policies and well-known communities", DONE, "`set` replaces all"),
    Standard("8654", "messages of 65,535 octets", DONE),
    Standard(
        "8950",
        "IPv4 over IPv6 next hops",
        DONE,
        "with `extended_next_hop`; also in the kernel",
    ),
    Standard(
        "8669",
        "prefix SID",
        PARTLY,
        "passed on within a domain after a check of its form; not turned into labels",
    ),
    Standard("9003", "shutdown communication", DONE, "sent, logged and shown"),
    Standard(
        "9012",
        "tunnel encapsulation",
        PARTLY,
        "as for RFC 8669; no packets go through tunnels, and the extended community "
        "of section 4 is treated by RFC 4360 only",
    ),
    Standard("9072", "long optional parameters", DONE),
    Standard("9234", "roles and OTC", DONE),
    Standard(
        "9494",
        "long-lived graceful restart",
        PARTLY,
        "one stale time for all families of a session; no partial deployment",
    ),
    Standard(
        "5880",
        "BFD",
        PARTLY,
        "asynchronous mode; no echo, no demand mode of our own, no keyed MD5",
    ),
    Standard("5881", "BFD over one hop", PARTLY, "no echo"),
    Standard("5882", "use of BFD", DONE, "for BGP; the C bit is read and never set"),
    Standard("5883", "BFD over several hops", DONE),
    Standard("9384", "Cease for BFD", DONE),
    Standard(
        "draft ietf-idr-bgp-bfd-strict-mode",
        "BGP waits for BFD",
        PARTLY,
        "by configuration, without the capability",
    ),
    Standard("9687", "send hold timer", DONE),
    Standard("9774", "no AS_SET", DONE, "`allow_as_set` permits it"),
    Standard("draft walton-bgp-hostname-capability", "host names", DONE),
    Standard("4273", "BGP MIB", NOT, "uses its state numbers, but has no SNMP"),
    Standard("4364", "IPv4 VPN", NOT, "nor 4659, 7432 and 8277: no such family"),
    Standard("4684", "route target constraint", NOT),
    Standard("5065", "confederations", NOT, "their segments make a path malformed"),
    Standard("5291", "outbound route filtering", NOT, "nor 5292, prefix ORF"),
    Standard("5925", "TCP-AO", NOT, "nor 8177, key chains"),
    Standard("6774", "diverse path", NOT, "add-path does that"),
    Standard("6811", "RPKI origin validation", NOT, "nor 8210, RTR, and 8097"),
    Standard("7947", "route server", NOT, "our AS is always prepended towards eBGP"),
    Standard("9107", "optimal route reflection", NOT, "all clients see one best path"),
    Standard("draft ietf-idr-link-bandwidth", "weighted ECMP", NOT, "ECMP is even"),
    Standard("draft abraitis-idr-addpath-paths-limit", "add-path limit", NOT),
    Standard("draft white-linklocal-capability", "one link-local next hop", NOT),
    Standard("draft ietf-sidrops-aspa-verification", "ASPA", NOT),
)


class Reset(NamedTuple):
    """Something for which we end a session.

    Attributes:
        module: Where the source finds it.
        places: How many calls there make it; a test counts them.
        what: What was found.
        notification: Code and subcode.
        cause: Whose fault it can be.
        demanded_by: Where that stands.
    """

    module: str
    places: int
    what: str
    notification: str
    cause: str
    demanded_by: str


RESETS: Final = (
    Reset(
        "bgpd/wire/framing.py",
        3,
        "a header with a marker that is not all ones, a length that is invalid for "
        "its type, or an unknown type",
        "1/1, 1/2, 1/3",
        "the peer",
        "4271 6.1: the beginning of the next message is unknown",
    ),
    Reset(
        "bgpd/wire/open.py",
        1,
        "an OPEN with another version, parameters that are truncated or unknown, AS "
        "or identifier 0, AS_TRANS, or a hold time of 1 or 2 s",
        "2/0 to 2/6",
        "the peer, before a session",
        "4271 6.2, 6286 2.1, 6793 4.2.1, 7607 2",
    ),
    Reset(
        "bgpd/wire/capabilities.py",
        4,
        "capabilities that are truncated, malformed or contradictory",
        "2/0, 2/2, 2/11",
        "the peer, before a session",
        "4271 6.2, 9234 4.2: the offer is unknown",
    ),
    Reset(
        "bgpd/session/negotiation.py",
        5,
        "an AS other than the configured one, our own identifier, roles that do not "
        "match, no common address family",
        "2/2, 2/3, 2/11, 2/7",
        "the peer or a configuration, before a session",
        "4271 6.2, 6286 2.2, 9234 4.2, 5492 5",
    ),
    Reset(
        "bgpd/session/fsm.py",
        0,
        "a message that is unexpected in this state",
        "5/1, 5/2, 5/3",
        "the peer",
        "4271 6.6 and 8.2.2, 6608 4",
    ),
    Reset(
        "bgpd/session/fsm.py",
        0,
        "silence for the hold time; the peer reads nothing for the send hold time",
        "4/0, 8/0",
        "the peer or the path to it",
        "4271 6.5, 9687 4",
    ),
    Reset(
        "bgpd/speaker/bfd_sessions.py",
        1,
        "BFD, where a peer has it configured, finds the path to the peer broken",
        "6/10",
        "the path to the peer",
        "5882 4.2, 9384 3",
    ),
    Reset(
        "bgpd/wire/route_refresh.py",
        1,
        "a BoRR or EoRR of invalid length, if both sides offered RFC 7313",
        "7/1",
        "the peer",
        "7313 5",
    ),
    Reset(
        "bgpd/wire/update.py",
        1,
        "an UPDATE whose fields are longer than it is",
        "3/1",
        "the peer",
        "7606 3 b: the NLRI cannot be found",
    ),
    Reset(
        "bgpd/pipeline/update_receiver.py",
        2,
        "unparsable prefixes in any field; and what the rows below say",
        "3/10",
        "the peer: it encodes all NLRI itself",
        "7606 3 j and 5.3",
    ),
    Reset(
        "rib/attributes/mp.py",
        2,
        "MP_REACH_NLRI or MP_UNREACH_NLRI that is too short, or whose next hop has a "
        "length that its family does not have",
        "3/9",
        "the peer: these attributes are not transitive",
        "7606 7.11 and 7.12, 8950 3",
    ),
    Reset(
        "rib/attributes/decode.py",
        2,
        "one of these two attributes more than once; an UPDATE without reachable "
        "NLRI that has an attribute malformed by RFC 7606 itself",
        "3/1; that of the attribute",
        "the peer; for the latter also a router that sends attributes with withdrawals",
        "7606 3 g and 5.2: the NLRI may not have been found",
    ),
    Reset(
        "bgpd/speaker/prefix_limits.py",
        2,
        "more prefixes than the configuration allows, from the peer or towards it",
        "6/1; 6/4 for those towards it",
        "any router behind the peer; the operator chose this",
        "4486 4; the configuration",
    ),
)

ENDINGS: Final = """\

## What ends a session

Nothing that a distant network puts into a route ends the session that brings the route. Only the
following does; a test counts the places in the source.

| what | NOTIFICATION | possible cause | required by RFC |
|---|---|---|---|
"""

NOT_ENDINGS: Final = """\

Other speakers end sessions for these, pybgpd does not:

| what | pybgpd | why |
|---|---|---|
| an UPDATE without reachable NLRI whose AS_PATH does not start with the peer's AS or contains an AS_SET, AS 0 or a confederation segment, or whose NEXT_HOP is not a host | accepts it | 7606 5.2 resets the session because the NLRI may have been missed. A readable attribute casts no such doubt, and there is no route to which the rule could apply |
| an unknown attribute marked well-known | treat-as-withdraw; no effect without NLRI | 4271 6.3 ends the session (3/2), 7606 does not mention it. Routers pass such attributes on, so one flipped bit would end sessions far away; BIRD and FRR also withdraw the routes |
| NEXT_HOP of any length and value beside MP_REACH_NLRI, without its own NLRI | ignores it | 4760 3 |
| NEXT_HOP, or the next hop in MP_REACH_NLRI, that is not a host, beside routes with the other one | withdraws only the routes that have it | 4271 6.3: "the route SHOULD be ignored" |
| a ROUTE-REFRESH with extra octets, such as filters that we did not negotiate; BoRR and EoRR without RFC 7313 | honours the request and ignores the rest | the only error that 7313 5 names is the length of BoRR and EoRR |

## Malformed attributes

This table shows the remedy for each known attribute (RFC 7606 2). If an attribute occurs more than once, all
but the first are discarded (3 g), except for those with NLRI.

| code | attribute | wrong Optional or Transitive bit | malformed | by RFC | from an external peer |
|---|---|---|---|---|---|
"""

UNREAD: Final = """\

FRR's table of malformed UPDATEs (`tests/topotests/bgp_rfc7606_*`) has 161 flaws of one route, on eBGP and
on iBGP sessions. pybgpd does what it expects, with these exceptions:

| what | pybgpd | because |
|---|---|---|
| the Partial bit on ORIGIN, AS_PATH and other attributes that must not have it | accepts it, and does not pass the bit on | 7606 3 c names only the Optional and the Transitive bit, and replaces 4271 6.3; that the bit must be 0 (4271 4.3) binds the sender |
| AS4_PATH with a segment of an unknown type (including 0) or without AS numbers | attribute discard | 6793 6 says so for every kind of malformed AS4_PATH; from a peer with 4-octet AS numbers it is discarded unread (6793 4.1) |
| OTC with AS 0 | accepts it; a leak if any other AS would be one | for 9234 5 only the length makes it malformed, and 7607 2 does not list it among the attributes in which AS 0 is |
| PMSI_TUNNEL that is too short, of an unknown type, or not transitive | passes it on, or drops it if it is not transitive | 6514 5 speaks of "a router that supports the PMSI Tunnel attribute", and has it with multicast VPN routes |
| malformed tunnel encapsulation from an external peer | attribute discard | 9012 11 filters it there, and what is filtered is not processed |
| malformed next hop dependent characteristics; BGP-LS marked transitive | passes them on | this speaker does not interpret them, and 4271 5 leaves it no choice |
| the NOTIFICATION for MP_REACH_NLRI without a recognizable end, and for such a prefix in MP_UNREACH_NLRI | 3/9, 3/10; FRR 3/1, 3/9 | 4760 7 says 3/9 of the attribute; 4271 6.3 says 3/10 of a prefix |

Other suites differ in one more way:

| what | pybgpd | because |
|---|---|---|
| an attribute that runs past the end of its UPDATE's attributes, from internal peers too | treat-as-withdraw | 7606 4 makes no difference |

Two more attributes are not interpreted but belong to one administrative domain, and their RFCs require their
remedy wherever they are passed on. pybgpd discards those of an external peer and sends none to it, unless it is in the
domain (`same_domain: on`, ASes under one administration). Within the domain:

| code | attribute | malformed or not transitive | by RFC | stays within the domain by RFC |
|---|---|---|---|---|
SCOPED_ROWS

pybgpd treats unknown attributes by their flags (RFC 4271 5 and 9): it passes a transitive one on
with the Partial bit, whatever its value, and drops any other; one that is not optional withdraws its routes.
What their RFCs require of speakers that understand them does not bind a speaker that does not, so none of their values
is malformed here:

| code | attribute | RFC | flags | pybgpd |
|---|---|---|---|---|
| 22 | PMSI_TUNNEL | 6514 5 | optional transitive | passed on |
| 24 | traffic engineering | 5543 3 | optional non-transitive | dropped |
| 27 | PE distinguisher labels | 6514 8 | optional transitive | passed on |
| 29 | BGP-LS | 9552 5.3 | optional non-transitive | dropped |
| 33 | BGPsec_PATH | 8205 3 | optional non-transitive | dropped |
| 36 | D-PATH | draft ietf-bess-evpn-ipvpn-interworking | optional transitive | passed on |
| 37 | SFP | 9015 | optional transitive | passed on |
| 39 | next hop dependent characteristics | draft ietf-idr-nhc | optional transitive | passed on; a speaker that understands it compares the next hop inside with that of the route |
| 128 | ATTR_SET | 6368 5 | optional transitive | passed on |
"""

HEAD: Final = """\
# RFC compliance

<!-- Written by `make docs` from tests/support/rfc_page.py and the tests; edit it there. -->

pybgpd carries IPv4 and IPv6 unicast between data-centre routers, reflectors and nodes. It
implements what this needs as the RFCs say, leaves out the rest, and this page lists where it
differs on purpose.

## Status

**done**: everything that applies to a speaker of these two families. **partly**: the remark says what
is there or missing. **not**: a peer that offers it gets an ordinary session without it.

| RFC | about | status | remark |
|---|---|---|---|
"""

DEVIATIONS: Final = """\

## Deliberate deviations

| RFC | says | pybgpd |
|---|---|---|
| 4271 8.2.2 | a failed connect leads from Connect to Idle | goes to Active, so that the peer can connect meanwhile |
| 4271 8.2.2 | a NOTIFICATION in OpenSent (event 25) is answered by an FSM error | never answers it, as section 6.4 requires |
| 4271 8.1.1 | DampPeerOscillations is optional, its length open | doubles the time in Idle with each further failure, from 1 s to 60 s; 30 s in Established reset it |
| 4271 6.8 | a collision is found when an OPEN comes in, among connections in OpenConfirm | also checks those in OpenSent, at the first OPEN, so that no peer becomes established on a connection that we drop |
| 4271 6.1 | a bad header ends the session | the valid messages before it in the same segment still count |
| 4271 9.2.1.1 | MinRouteAdvertisementIntervalTimer of 30 s and 5 s | a single change goes out at once, many changes together, at most 50 ms later; only a prefix that keeps changing waits (`bgp.advertisement_interval`, 5 s) |
| 4271 9.1.3 | a route is in the routing table before it goes into Adj-RIB-Out | advertises routes while it writes the kernel; a reflector has no routing table at all |
| 4271 6.3 | NEXT_HOP shares a subnet with an external peer | does not check this: next-hop tracking decides whether it is reachable |
| 4271 10 | ConnectRetryTime of 120 s | 5 s, doubled up to 60 s |
| 4724 3 | the R bit says that the speaker restarted | sets it until it has sent its End-of-RIBs; a speaker without a kernel table sets it after every start, since it has no evidence of an earlier run |
| 4724 4.1 | a restarting speaker defers route selection | selects routes but defers the effect: peers that keep our routes get only our own, and the earlier kernel routes stay; peers that keep nothing get everything at once |
| 4724 4.1 | waits for End-of-RIB of all peers | waits for those that are back, and for the others until no session has come up for 10 s |
| 4724 4.2 | a route that was already stale is deleted at a second loss | keeps it as RFC 8538 4.1 says, even without the N bit, within a limit that starts at the first loss |
| 4724 5 | a new connection of a peer replaces its established one | not within the first 5 s, when it is the remainder of a collision |
| 7606 2 | AFI/SAFI disable is one remedy | resets the session instead, as 7606 allows |
| 8212 3 | eBGP without a policy denies everything | does so for configured peers; those from a cluster's datastore accept everything, as such clusters expect |

On by default, although the RFCs leave it open: graceful restart with a restart time of 120 s and
the N bit (RFC 8538), enhanced route refresh, extended messages, and ECMP over AS_PATHs of the
same length. Off by default: add-path, AIGP, long-lived graceful restart, roles, RFC 5004.

## Clauses and the tests that prove them

"""

CLAUSES: Final = "\n## Clauses and the tests that prove them\n"

TABLE: Final = """\

| RFC | section | level | what the test says | test |
|---|---|---|---|---|
"""


def rfc_page() -> str:
    """Return the page.

    Raises:
        ValueError: A test names an RFC that has no row in ``STANDARDS``.
    """
    proven = clauses(ROOT)
    unknown = {str(c.rfc) for c in proven} - {s.name for s in STANDARDS}
    if unknown:
        raise ValueError(f"no row in STANDARDS for RFC {', '.join(sorted(unknown))}")
    standards = [
        f"| {s.name} | {s.title} | {s.status} | {s.remark} |\n" for s in STANDARDS
    ]
    sections = len({(c.rfc, c.section) for c in proven})
    summary = (
        f"{len(proven)} tests name {sections} sections of"
        f" {len({c.rfc for c in proven})} RFCs; many run with dozens of inputs. Tests"
        " without such a mark prove more than stands here: sessions with other makers'\n"
        "routers, the kernel, laws over generated input.\n"
    )
    rows = [_row(clause) for clause in proven]
    deviations, clauses_head = DEVIATIONS.split(CLAUSES)
    parts = [HEAD, *standards, deviations, *_errors(), CLAUSES, clauses_head]
    return "".join([*parts, summary, TABLE, *rows])


def _errors() -> Iterator[str]:
    """Yield the sections about what is wrong with a message or an attribute."""
    yield ENDINGS
    for reset in RESETS:
        cells = (reset.what, reset.notification, reset.cause, reset.demanded_by)
        yield f"| {' | '.join(cells)} |\n"
    yield NOT_ENDINGS
    for row in TABLE_OF_ATTRIBUTES.values():
        clause = row.clause.removeprefix("RFC ")
        outside = "discarded" if row.is_internal else ""
        flags, malformed = _remedy(row.wrong_flags), _remedy(row.malformed)
        yield (
            f"| {row.code} | {row.name} | {flags} | {malformed} | {clause} | {outside} |\n"
        )
    before, behind = UNREAD.split("SCOPED_ROWS\n")
    yield before
    for each in SCOPED.values():
        clauses = (each.clause, each.scope)
        where, scope = (clause.removeprefix("RFC ") for clause in clauses)
        name = f"{each.code} | {each.name}"
        yield f"| {name} | {_remedy(each.malformed)} | {where} | {scope} |\n"
    yield behind


def _remedy(remedy: Remedy) -> str:
    return remedy.name.lower().replace("_", "-")


def _row(clause: Clause) -> str:
    name = clause.path.removeprefix("tests/").removesuffix(".py")
    link = f"[{name}](../{clause.path})"
    cells = (clause.rfc, clause.section, clause.level, clause.sentence, link)
    return f"| {' | '.join(map(str, cells))} |\n"
