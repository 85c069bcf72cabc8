"""What birdcl, vtysh, bgpctl and gobgp call the commands of ``pybgpctl``."""

from typing import Final, NamedTuple


class Phrase(NamedTuple):
    """A phrase of another program.

    Attributes:
        typed: Its words; ``*`` stands for any one word, ``$`` for the end.
        ours: What to run, below the same group; ``*`` is the word that was typed.
    """

    typed: str
    ours: str


# Longer phrases first where one begins as another.
SHOW_PHRASES: Final = (
    Phrase("protocols all *", "peers *"),
    Phrase("protocols all", "peers -o wide"),
    Phrase("protocols", "peers"),
    Phrase("neighbors * advertised-routes", "routes --advertised-to *"),
    Phrase("neighbors * received-routes", "routes --received-from *"),
    Phrase("neighbors * filtered-routes", "routes --filtered --received-from *"),
    Phrase("neighbors * routes", "routes --peer *"),
    Phrase("neighbors", "peers"),
    Phrase("ip bgp", "bgp"),
    Phrase("bgp summary", "peers"),
    Phrase("bgp neighbors", "neighbors"),
    Phrase("bgp ipv4", "bgp --family ipv4"),
    Phrase("bgp ipv6", "bgp --family ipv6"),
    Phrase("bgp unicast", "bgp"),
    Phrase("bgp memory", "memory"),
    Phrase("bgp community *", "routes --community *"),
    Phrase("bgp large-community *", "routes --large-community *"),
    Phrase("bgp regexp *", "routes --as-path *"),
    Phrase("bgp --family * summary", "peers"),
    Phrase("bgp --family * unicast", "bgp --family *"),
    Phrase("bgp --family * $", "routes --family *"),
    Phrase("bgp $", "routes"),
    Phrase("bgp *", "route *"),
    Phrase("summary", "peers"),
    Phrase("route for *", "route *"),
    Phrase("route export *", "routes --advertised-to *"),
    Phrase("route protocol *", "routes --peer *"),
    Phrase("route filtered", "routes --filtered"),
    Phrase("route primary", "routes --best"),
    Phrase("route count", "routes --count"),
    Phrase("route $", "routes"),
    Phrase("route *", "route *"),
    Phrase("rib out neighbor *", "routes --advertised-to *"),
    Phrase("rib in neighbor *", "routes --received-from *"),
    Phrase("rib neighbor *", "routes --peer *"),
    Phrase("rib community *", "routes --community *"),
    Phrase("rib source-as *", "routes --origin-as *"),
    Phrase("rib memory", "memory"),
    Phrase("rib $", "routes"),
    Phrase("rib *", "route *"),
    Phrase("version", "status"),
)
MAIN_PHRASES: Final = (
    Phrase("neighbor * adj-in", "show routes --received-from *"),
    Phrase("neighbor * adj-out", "show routes --advertised-to *"),
    Phrase("neighbor * enable", "enable-peer *"),
    Phrase("neighbor * disable", "disable-peer *"),
    Phrase("neighbor * up", "enable-peer *"),
    Phrase("neighbor * down", "disable-peer *"),
    Phrase("neighbor * reset", "reset *"),
    Phrase("neighbor * clear", "reset *"),
    Phrase("neighbor * refresh", "reset --soft-in *"),
    Phrase("neighbor * softresetin", "reset --soft-in *"),
    Phrase("neighbor * softresetout", "reset --soft-out *"),
    Phrase("neighbor", "show peers"),
    Phrase("summary", "show peers"),
    Phrase("protocols", "show protocols"),
    Phrase("global rib summary", "show routes --count"),
    Phrase("global rib", "show rib"),
    Phrase("clear ip bgp", "clear bgp"),
    Phrase("clear bgp * soft in", "reset --soft-in *"),
    Phrase("clear bgp * soft out", "reset --soft-out *"),
    Phrase("clear bgp * in", "reset --soft-in *"),
    Phrase("clear bgp * out", "reset --soft-out *"),
    Phrase("clear bgp", "reset"),
    Phrase("restart", "reset"),
    Phrase("reload in *", "reset --soft-in *"),
    Phrase("reload out *", "reset --soft-out *"),
    Phrase("configure", "reload"),
    Phrase("down", "shutdown"),
)
