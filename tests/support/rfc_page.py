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
        "has its name in policies; nothing obeys it by itself",
    ),
    Standard(
        "4360",
        "extended communities",
        PARTLY,
        "carried and shown; policies neither match nor set them",
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
    Standard("5004", "keep the external best path", DONE, "off unless asked for"),
    Standard("5082", "GTSM", DONE, "`ttl_security_hops`"),
    Standard("5396", "AS numbers as text", DONE, "written plain, dotted ones are read"),
    Standard(
        "5492", "capabilities", DONE, "a peer that has none is tried without, once"
    ),
    Standard("5668", "4-octet AS in extended communities", PARTLY, "as RFC 4360"),
    Standard("5701", "IPv6 extended communities", PARTLY, "carried and shown"),
    Standard("6286", "BGP identifiers", DONE),
    Standard("6608", "FSM error subcodes", DONE),
    Standard("6793", "4-octet AS numbers", DONE),
    Standard("6996", "private AS numbers", DONE, "hidden by `remove_private_as`"),
    Standard(
        "7311",
        "AIGP",
        PARTLY,
        "taken from internal peers and honoured where `aigp` is on; not originated, told"
        " to internal peers while the next hop stays as it was, and to no external one",
    ),
    Standard(
        "7313",
        "enhanced route refresh",
        DONE,
        "without an upper bound for a peer that begins and never ends",
    ),
    Standard(
        "7606", "error handling of UPDATEs", DONE, "AFI/SAFI disable is never used"
    ),
    Standard("7607", "AS 0", DONE, "inside the AS too"),
    Standard(
        "7705",
        "AS migration",
        PARTLY,
        "`local_as` and `local_as_mode`; on one session one AS number alone is offered",
    ),
    Standard("7911", "add-path", DONE, "all paths or the best N; identifiers stay"),
    Standard("7938", "BGP in data centres", DONE, "multipath relax, own AS, local AS"),
    Standard("7999", "BLACKHOLE", PARTLY, "has its name in policies; discards nothing"),
    Standard("8092", "large communities", DONE, "carried, shown, matched and set"),
    Standard("8195", "use of large communities", PARTLY, "possible, not described"),
    Standard("8203", "shutdown communication", DONE, "as RFC 9003, which replaced it"),
    Standard("8212", "eBGP denies by default", DONE, "but see the deviations below"),
    Standard(
        "8326",
        "graceful shutdown",
        PARTLY,
        "obeyed; sent only where an export policy adds it, not by itself at a shutdown",
    ),
    Standard("8538", "notifications and graceful restart", DONE),
    Standard("8642", "policies and well-known communities", DONE, "`set` replaces all"),
    Standard("8654", "messages of 65,535 octets", DONE),
    Standard(
        "8950",
        "IPv4 over IPv6 next hops",
        DONE,
        "where `extended_next_hop` is on; also in the kernel",
    ),
    Standard(
        "8669",
        "prefix SID",
        PARTLY,
        "passed on within a domain, its form checked; no label is made of it",
    ),
    Standard("9003", "shutdown communication", DONE, "sent, logged and shown"),
    Standard(
        "9012",
        "tunnel encapsulation",
        PARTLY,
        "as RFC 8669; nothing is sent through tunnels, and the extended community of section 4 goes by RFC 4360 alone",
    ),
    Standard("9072", "long optional parameters", DONE),
    Standard("9234", "roles and OTC", DONE),
    Standard(
        "9494",
        "long-lived graceful restart",
        PARTLY,
        "one stale time for all families of a session; no partial deployment",
    ),
    Standard("9687", "send hold timer", DONE),
    Standard("9774", "no AS_SET", DONE, "`allow_as_set` permits it"),
    Standard("draft walton-bgp-hostname-capability", "host names", DONE),
    Standard("4273", "BGP MIB", NOT, "state numbers are its, there is no SNMP"),
    Standard("4364", "IPv4 VPN", NOT, "nor 4659, 7432 and 8277: no such family"),
    Standard("4684", "route target constraint", NOT),
    Standard("5065", "confederations", NOT, "their segments make a path malformed"),
    Standard("5291", "outbound route filtering", NOT, "nor 5292, prefix ORF"),
    Standard("5880", "BFD", NOT, "nor 5881 to 5883; short hold times instead"),
    Standard("5925", "TCP-AO", NOT, "nor 8177, key chains"),
    Standard("6396", "MRT", NOT, "nor 8050"),
    Standard("6774", "diverse path", NOT, "add-path does that"),
    Standard("6811", "RPKI origin validation", NOT, "nor 8210, RTR, and 8097"),
    Standard("7854", "BMP", NOT, "nor 8671 and 9069"),
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
        "a header whose marker is not all ones, whose length is not that of its type, or"
        " whose type is unknown",
        "1/1, 1/2, 1/3",
        "the peer",
        "4271 6.1: where the next message begins is not known",
    ),
    Reset(
        "bgpd/wire/open.py",
        1,
        "an OPEN of another version, with parameters that do not fit or are unknown, an AS"
        " or an identifier of 0, AS_TRANS, or a hold time of 1 or 2 s",
        "2/0 to 2/6",
        "the peer, before a session",
        "4271 6.2, 6286 2.1, 6793 4.2.1, 7607 2",
    ),
    Reset(
        "bgpd/wire/capabilities.py",
        4,
        "capabilities that do not fit their parameter or their format, or contradict each"
        " other",
        "2/0, 2/2, 2/11",
        "the peer, before a session",
        "4271 6.2, 9234 4.2: what was offered is not known",
    ),
    Reset(
        "bgpd/session/negotiation.py",
        5,
        "an AS other than the configured one, our own identifier, roles that do not fit,"
        " no family in common",
        "2/2, 2/3, 2/11, 2/7",
        "the peer or a configuration, before a session",
        "4271 6.2, 6286 2.2, 9234 4.2, 5492 5",
    ),
    Reset(
        "bgpd/session/fsm.py",
        0,
        "a message that the state does not expect",
        "5/1, 5/2, 5/3",
        "the peer",
        "4271 6.6 and 8.2.2, 6608 4",
    ),
    Reset(
        "bgpd/session/fsm.py",
        0,
        "silence for the hold time; nothing taken for the send hold time",
        "4/0, 8/0",
        "the peer or the way to it",
        "4271 6.5, 9687 4",
    ),
    Reset(
        "bgpd/wire/route_refresh.py",
        1,
        "a BoRR or EoRR that is too long, where both sides offered RFC 7313",
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
        "prefixes that cannot be told apart, in any field; and what the rows below say",
        "3/10",
        "the peer: it encodes all NLRI itself",
        "7606 3 j and 5.3",
    ),
    Reset(
        "rib/attributes/mp.py",
        2,
        "MP_REACH_NLRI or MP_UNREACH_NLRI that is too short, or whose next hop is of no"
        " length of its family",
        "3/9",
        "the peer: these attributes are not transitive",
        "7606 7.11 and 7.12, 8950 3",
    ),
    Reset(
        "rib/attributes/decode.py",
        2,
        "one of these two attributes more than once; an UPDATE without reachable NLRI, one"
        " of whose attributes RFC 7606 itself finds malformed",
        "3/1; that of the attribute",
        "the peer; for the latter also a router that sends attributes with withdrawals",
        "7606 3 g and 5.2: the NLRI may not have been found",
    ),
    Reset(
        "bgpd/speaker/prefix_limits.py",
        1,
        "more prefixes than the configuration allows",
        "6/1",
        "anybody behind the peer, as the operator wants it",
        "4486 4; the configuration",
    ),
)

ENDINGS: Final = """\

## What ends a session

Nothing that a network far away puts into a route ends the session over which it comes. What stands
here does, and nothing else; a test counts the places in the source.

| what | NOTIFICATION | whose fault it can be | demanded by RFC |
|---|---|---|---|
"""

NOT_ENDINGS: Final = """\

What other speakers end sessions for, and pybgpd does not:

| what | here | why |
|---|---|---|
| an UPDATE without reachable NLRI, whose AS_PATH does not begin with the peer's AS or holds an AS_SET, AS 0, or a confederation segment, or whose NEXT_HOP is no host | nothing is wrong | 7606 5.2 resets since the NLRI may not have been found. What can be read casts no such doubt, and there is no route that the rule could refuse |
| an attribute that is unknown, yet marked well-known | treat-as-withdraw; nothing without NLRI | 4271 6.3 ends the session (3/2), 7606 does not name it. Routers pass such attributes on, so one flipped bit would end sessions far away; BIRD and FRR withdraw, too |
| NEXT_HOP of whatever length and value beside MP_REACH_NLRI, without NLRI of its own | ignored | 4760 3 |
| NEXT_HOP, or the next hop in MP_REACH_NLRI, that is no host, beside routes with the other one | only the routes that have it are withdrawn | 4271 6.3: "the route SHOULD be ignored" |
| a ROUTE-REFRESH with something behind it, such as filters that we did not ask for; BoRR and EoRR without RFC 7313 | the request counts, the rest is passed over | 7313 5 names no error but the length of BoRR and EoRR |

## What is wrong with an attribute

What each attribute that is understood costs its routes (RFC 7606 2). An attribute more than once is
discarded but for the first (3 g), but for those with NLRI.

| code | attribute | wrong Optional or Transitive bit | malformed | by RFC | from an external peer |
|---|---|---|---|---|---|
"""

UNREAD: Final = """\

FRR's table of malformed UPDATEs (`tests/topotests/bgp_rfc7606_*`) has 161 flaws of one route, on eBGP and
on iBGP sessions. What it expects is what happens here, but for these:

| what | here | because |
|---|---|---|
| the Partial bit on ORIGIN, AS_PATH and other attributes that must not have it | accepted, and not sent on | 7606 3 c names the Optional and the Transitive bit alone, in place of 4271 6.3; that the bit must be 0 (4271 4.3) binds the sender |
| AS4_PATH with a segment of an unknown type, of type 0 too, or of no AS numbers | attribute discard | 6793 6 says so for each way in which it is malformed; from a peer with 4-octet AS numbers it is discarded unread (6793 4.1) |
| OTC with AS 0 | accepted; a leak where each other AS would be one | 9234 5 calls it malformed by its length alone, and 7607 2 does not list it among the attributes in which AS 0 is |
| PMSI_TUNNEL that is too short, of an unknown type, or not transitive | passed on, or dropped where it is not transitive | 6514 5 speaks of "a router that supports the PMSI Tunnel attribute", and has it with multicast VPN routes |
| tunnel encapsulation that is malformed, from an external peer | attribute discard | 9012 11: it is filtered there, and what is filtered is not processed |
| next hop dependent characteristics that are malformed; BGP-LS that is marked transitive | passed on | both go with what this speaker does not read, and 4271 5 leaves it no other way |
| the NOTIFICATION for MP_REACH_NLRI whose end cannot be found, and for a prefix in MP_UNREACH_NLRI that cannot | 3/9, 3/10; FRR 3/1, 3/9 | 4760 7 says 3/9 of the attribute; 4271 6.3 says 3/10 of a prefix |

Other suites differ in one more way:

| what | here | because |
|---|---|---|
| an attribute that runs past the end of its UPDATE's attributes, from internal peers too | treat-as-withdraw | 7606 4 makes no difference |

Two attributes are not read either, but belong to one administrative domain, and their RFCs ask for their
remedy wherever they are passed on. An external peer's are discarded, and it is told none, unless it is of the
domain (`same_domain: on`, ASes under one administration). Within the domain:

| code | attribute | malformed or not transitive | by RFC | stays within the domain by RFC |
|---|---|---|---|---|
SCOPED_ROWS

Attributes that are not understood go by their flags (RFC 4271 5 and 9): a transitive one is passed on
with the Partial bit, whatever it holds, another is dropped; one that is not optional withdraws its routes.
What their RFCs ask of speakers that understand them does not bind one that does not, so no value of theirs
is malformed here:

| code | attribute | RFC | flags | here |
|---|---|---|---|---|
| 22 | PMSI_TUNNEL | 6514 5 | optional transitive | passed on |
| 24 | traffic engineering | 5543 3 | optional non-transitive | dropped |
| 27 | PE distinguisher labels | 6514 8 | optional transitive | passed on |
| 29 | BGP-LS | 9552 5.3 | optional non-transitive | dropped |
| 33 | BGPsec_PATH | 8205 3 | optional non-transitive | dropped |
| 36 | D-PATH | draft ietf-bess-evpn-ipvpn-interworking | optional transitive | passed on |
| 37 | SFP | 9015 | optional transitive | passed on |
| 39 | next hop dependent characteristics | draft ietf-idr-nhc | optional transitive | passed on; who reads it compares the next hop inside with the route's |
| 128 | ATTR_SET | 6368 5 | optional transitive | passed on |
"""

HEAD: Final = """\
# RFC compliance

<!-- Written by `make docs` from tests/support/rfc_page.py and the tests; edit it there. -->

pybgpd carries IPv4 and IPv6 unicast between data-centre routers, reflectors and nodes. What
of the RFCs is needed for that is done as written, what is not needed is absent, and where we
differ on purpose it stands here.

## Where we stand

**done**: all that applies to a speaker of these two families. **partly**: the remark says what
is missing. **not**: a peer that offers it gets an ordinary session without.

| RFC | about | status | remark |
|---|---|---|---|
"""

DEVIATIONS: Final = """\

## Deliberate deviations

| RFC | says | here |
|---|---|---|
| 4271 8.2.2 | a failed connect leads from Connect to Idle | to Active, so that the peer can connect meanwhile |
| 4271 8.2.2 | a NOTIFICATION in OpenSent (event 25) is answered by an FSM error | never answered, as section 6.4 demands |
| 4271 8.1.1 | DampPeerOscillations is optional, its length open | after each failure in a row the peer rests twice as long in Idle, from 1 s to 60 s; 30 s established forgive all |
| 4271 6.8 | a collision is found when an OPEN comes in, among connections in OpenConfirm | also among those in OpenSent, by the first OPEN: no far end gets established on a connection that is dropped here |
| 4271 6.1 | a bad header ends the session | and the good messages in front of it, in the same segment, still count |
| 4271 9.2.1.1 | MinRouteAdvertisementIntervalTimer of 30 s and 5 s | none: a lone change is told at once, many are told together, at most 50 ms late |
| 4271 9.1.3 | what goes into Adj-RIB-Out is first in the routing table | peers are told while the kernel is written; a reflector has no table at all |
| 4271 6.3 | NEXT_HOP shares a subnet with an external peer | not asked: next-hop tracking decides whether it is reachable |
| 4271 10 | ConnectRetryTime of 120 s | 5 s, doubled up to 60 s |
| 4724 3 | the R bit says that the speaker restarted | until its End-of-RIBs are sent; a speaker without a kernel table sets it after every start, since nothing tells it of an earlier run |
| 4724 4.1 | a restarting speaker defers route selection | selection runs, its effect is deferred: peers that keep our routes are told our own alone, and kernel routes of before stay; peers that keep nothing are told at once |
| 4724 4.1 | End-of-RIB of all peers is waited for | of those that are back; who is away is waited for until no session has come up for 10 s |
| 4724 4.2 | a route that was stale already is deleted at a second loss | kept as RFC 8538 4.1 says, also without the N bit, within a bound counted from the first loss |
| 4724 5 | a new connection of a peer replaces its established one | not within 5 s of its establishment: then it is the rest of a collision |
| 7606 2 | AFI/SAFI disable is one remedy | the session is reset instead, as 7606 allows |
| 8212 3 | eBGP without policy denies | configured peers do; those from a cluster's datastore accept all, as such clusters expect |

What is on by default though RFCs leave it open: graceful restart with a restart time of 120 s and
the N bit (RFC 8538), enhanced route refresh, long messages, ECMP over paths whose AS_PATHs have the
same length. What is off: add-path, AIGP, long-lived graceful restart, roles, RFC 5004.

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
