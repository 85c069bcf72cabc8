"""docs/costs.md: what changing each key costs, from the code, beside what other programs do."""

from typing import Final, NamedTuple

from bgpd.config.diff import SECTION_COSTS, field_cost
from bgpd.config.key_names import FIELD_OF_KEY
from bgpd.config.peers import FamilyOptions, SessionOptions
from bgpd.config.schema import keys_of
from bgpd.session.settings import ChangeCost

_HEAD: Final = """\
# What a change costs

<!-- Written by `make docs` from bgpd/config; edit it in tests/support/costs_page.py. -->

What happens to a session that is up if a key changes: `live` (the peer sees nothing), `refresh` (routes are sent or
requested again), `reset` (the session starts again; graceful restart keeps the routes). The first column of costs is
written from the table that the daemon itself goes by. Its rows of peers and ranges are changed on a session over TCP, in
each place where the key may stand (`tests/daemon/test_costs_on_the_wire.py`), passwords in a test of their own. `pybgpctl plan FILE` tells the costs of
a whole file for the sessions that there are ([plan and apply](commands.md#plan-and-apply)).

The columns of BIRD and FRR are read from their documentation and sources, not tried on running daemons, and name the
option there: [BIRD's `configure`](https://bird.network.cz/?get_doc&v=20&f=bird-4.html) restarts protocols "whose configuration
has changed", where `bgp_reconfigure` and `bgp_channel_reconfigure` of its BGP cannot take it in;
[FRR](https://docs.frrouting.org/en/latest/bgp.html) acts at each command by `peer_flag_action_list`,
`peer_af_flag_action_list` and its setters. An empty field means that there is no such option, or
that we do not know.

| key | pybgpd | BIRD | FRR |
|---|---|---|---|
"""


class Others(NamedTuple):
    """What other programs do.

    Attributes:
        bird: The option of BIRD, and its cost.
        frr: Likewise of FRR.
    """

    bird: str = ""
    frr: str = ""


OTHERS: Final = {
    "bgp.as": Others("`local as`: restart", "`router bgp`: another instance"),
    "bgp.router_id": Others("`router id`: restarts all", "`bgp router-id`: resets all"),
    "bgp.cluster_id": Others(
        "`rr cluster id`: restart", "`bgp cluster-id`: resets iBGP"
    ),
    "peers[].as": Others("`neighbor as`: restart", "`remote-as`: reset"),
    "description": Others("`description`: live", "`description`: live"),
    "local_as": Others("`local as`: restart", "`local-as`: reset"),
    "as_override": Others("", "`as-override`: sends again"),
    "remove_private_as": Others("", "`remove-private-AS`: sends again"),
    "local_address": Others("`source address`: restart", "`update-source`: reset"),
    "interface": Others("`interface`: restart", ""),
    "port": Others("`neighbor port`: restart", ""),
    "passive": Others("`passive`: restart", "`passive`: reset"),
    "families": Others("a channel comes or goes: restart", "`activate`: reset"),
    "hold_time": Others("`hold time`: restart", "`timers`: at the next session"),
    "keepalive_time": Others(
        "`keepalive time`: restart", "`timers`: at the next session"
    ),
    "connect_retry_time": Others(
        "`connect retry time`: restart", "`timers connect`: live"
    ),
    "client": Others("`rr client`: restart", "`route-reflector-client`: reset"),
    "cluster_id": Others("`rr cluster id`: restart", ""),
    "next_hop": Others("`next hop self`: sends again", "`next-hop-self`: sends again"),
    "ttl_security_hops": Others("`ttl security`: restart", ""),
    "multihop_ttl": Others("`multihop`: restart", "`ebgp-multihop`: reset"),
    "password": Others("`password`: restart", "`password`: reset"),
    "graceful_restart": Others(
        "`graceful restart`: restart", "`graceful-restart`: after a reset by hand"
    ),
    "long_lived_stale_time": Others("`long lived stale time`: restart", ""),
    "extended_message": Others("`enable extended messages`: restart", ""),
    "extended_next_hop": Others(
        "`extended next hop`: restart", "`capability extended-nexthop`: reset"
    ),
    "import_policy": Others(
        "`import`: route refresh, or from `import table`; with `soft` nothing",
        "`route-map in`: requests again, or from `soft-reconfiguration`",
    ),
    "export_policy": Others(
        "`export`: sends again; with `soft` nothing", "`route-map out`: sends again"
    ),
    "default_originate": Others("", "`default-originate`: sends it"),
    "allow_own_as": Others("`allow local as`: restart", "`allowas-in`: requests again"),
    "enforce_first_as": Others("`enforce first as`: restart", ""),
    "role": Others("`local role`: restart", ""),
    "families.add_path": Others(
        "`add paths`: restart", "`addpath-tx-all-paths`: reset"
    ),
    "families.max_prefixes": Others("`import limit`: live", "`maximum-prefix`: live"),
}
"""By our key."""

_WORDS: Final = {cost: cost.value for cost in ChangeCost}


def costs() -> dict[str, ChangeCost]:
    """Return the cost of each key of a session, and of who we are."""
    found = {
        "bgp.as": SECTION_COSTS["speaker.asn"],
        "bgp.router_id": SECTION_COSTS["speaker.router_id"],
        "bgp.cluster_id": SECTION_COSTS["speaker.cluster_id"],
        "peers[].as": field_cost("remote_as"),
    }
    for key in keys_of(SessionOptions):
        if key == "families":
            found[key] = ChangeCost.RESET  # that there are others; options follow
        else:
            field = "password" if key == "password_file" else FIELD_OF_KEY.get(key, key)
            found[key] = field_cost(field)
    for key in keys_of(FamilyOptions):
        if key != "name":
            found[f"families.{key}"] = field_cost(key)
    return found


def costs_page() -> str:
    """Return the page."""
    rows = []
    assert OTHERS.keys() <= costs().keys(), OTHERS.keys() - costs().keys()
    for key, cost in costs().items():
        others = OTHERS.get(key, Others())
        rows.append(f"| `{key}` | {_WORDS[cost]} | {others.bird} | {others.frr} |\n")
    return _HEAD + "".join(rows)
