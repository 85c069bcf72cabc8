"""Example configurations beside those of other makers that they replace.

A case is three files: ``configs/NAME.yaml``, which is ours; the other maker's own text,
``tests/interop/configurations/NAME.bird`` or ``NAME.frr``; and ``NAME.yaml`` beside it, the
place where either of them runs, with its neighbours. The place is built twice, once for each.
What the neighbours hear, what the router itself holds and what stands in the kernel are then
compared. Two differences count for nothing: MED 0 in place of none, which decides the same
(RFC 4271 9.1.2.2 c; FRR adds it), and a link-local address beside a global next hop.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict

from bgpd.lab.errors import LabError
from bgpd.lab.lab import Lab
from bgpd.lab.routers.base import READY_TIME, Router, wait_until
from bgpd.lab.routers.bird import Bird
from bgpd.lab.routers.frr import Frr
from bgpd.lab.routers.pybgpd import PyBgpd
from bgpd.lab.speaker import RouteView, SessionView, kind_of, speaker_of
from bgpd.lab.topology import FamilyName, Topology
from bgpd.texts.state_files import write_file
from tests.support.generated import ROOT

FOLDER: Final = ROOT / "tests" / "interop" / "configurations"
PLACE: Final = "place"
FAMILIES: Final[tuple[FamilyName, ...]] = ("ipv4", "ipv6")
SETTLE_TIME: Final = 40.0  # seconds until all is heard, on a machine shared with others
_IGNORED: Final = frozenset({"kernel", "boot", "ra"})  # of no router's making
_LINK_LOCAL: Final = re.compile(r"fe80::[0-9a-f:]+")
_ROUTE: Final = re.compile(r"^(\S+)?\s+unicast \[(\w+) ")
_ATTRIBUTE: Final = re.compile(r"^\s+BGP\.([\w.]+): ?(.*)$")

Words = Annotated[
    tuple[str, ...], BeforeValidator(lambda v: v.split() if isinstance(v, str) else v)
]
Heard = dict[str, list[dict[str, Any]]]
"""Prefix to its paths, a mapping for each."""


class Unlike(BaseModel):
    """A difference that is meant: what the other maker's tells, and ours does not.

    Attributes:
        neighbour: Who hears it.
        prefix: What it receives.
        reason: Why ours does not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    neighbour: str
    prefix: str
    reason: str


class Departure(BaseModel):
    """What is left when neighbours end.

    Attributes:
        leave: Who ends.
        hears: What each neighbour that stays hears then, and nothing else.
        kernel: What stands in the kernel then, and nothing else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    leave: Words
    hears: dict[str, Words]
    kernel: Words | None = None


class Case(BaseModel):
    """One place, and what its router has to tell there.

    Attributes:
        original: Who made the configuration that ours replaces.
        hears: What each neighbour hears, and nothing else.
        kernel: What stands in the kernel, and nothing else; not compared without.
        holds: What the router itself learned by BGP; not compared without.
        extra: Text after what the lab writes for a neighbour, in that maker's words.
        unlike: Differences that are meant; each must be there, and ``hears`` is ours.
        departure: What comes after that.
        lab: The topology; ``place`` has no router of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    original: Literal["bird", "frr"]
    hears: dict[str, Words]
    kernel: Words | None = None
    holds: Words | None = None
    extra: dict[str, str] = {}
    unlike: tuple[Unlike, ...] = ()
    departure: Departure | None = None
    lab: Topology


def read_case(name: str) -> Case:
    """Return a case by the name of its configuration."""
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    return Case.model_validate(yaml.safe_load(text))


def case_names() -> list[str]:
    """Return the names of all cases."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


class GivenBird(Bird):
    """A BIRD whose configuration is written by hand."""

    text = ""

    def write_config(self) -> None:
        write_file(self.folder / "bird.conf", self.text.encode())

    def sessions(self) -> dict[str, SessionView]:
        self.birdc("show status")
        return {}


class GivenFrr(Frr):
    """An FRR whose configuration is written by hand, and read by vtysh as at boot."""

    text = ""

    def write_config(self) -> None:
        for daemon in ("zebra", "staticd", "bgpd"):
            write_file(self.folder / f"{daemon}.conf", b"log stdout\n")
        write_file(self.folder / "frr.conf", self.text.encode())
        for path in (self.folder, *self.folder.iterdir()):
            shutil.chown(path, "frr", "frr")

    def commands(self) -> Sequence[Sequence[str]]:
        zebra, bgpd = super().commands()
        staticd = [word.replace("zebra", "staticd") for word in zebra]
        return [zebra, staticd, bgpd]

    def wait_ready(self, timeout: float = READY_TIME) -> None:
        sockets = [self.folder / f"{name}.vty" for name in ("zebra", "staticd", "bgpd")]
        wait_until(
            lambda: all(path.exists() for path in sockets), timeout, "FRR listens"
        )
        file = str(self.folder / "frr.conf")
        argv = ["vtysh", "--vty_socket", str(self.folder), "-f", file]
        answer = self.namespace.run(argv)
        if "%" in answer or "line " in answer:
            raise LabError(f"{self._title} refuses its configuration: {answer}")

    def sessions(self) -> dict[str, SessionView]:
        return {}


class GivenPyBgpd(PyBgpd):
    """One of our daemons, with a configuration of ``configs`` as it is."""

    file = Path()

    def write_config(self) -> None:
        """Leave it where it is."""

    def commands(self) -> Sequence[Sequence[str]]:
        (argv,) = super().commands()
        config = argv.index("--config")
        return [
            [*argv[: config + 1], str(self.file), "--control", str(self.control_path)]
        ]


class ExtendedBird(Bird):
    """A neighbour that says more than all makers can."""

    extra = ""

    def write_config(self) -> None:
        super().write_config()
        path = self.folder / "bird.conf"
        write_file(path, path.read_bytes() + self.extra.encode())

    def sessions(self) -> dict[str, SessionView]:
        self.birdc("show status")
        return {}


class ExtendedFrr(Frr):
    """A neighbour that says more than all makers can."""

    extra = ""

    def write_config(self) -> None:
        super().write_config()
        path = self.folder / "bgpd.conf"
        write_file(path, path.read_bytes() + self.extra.encode())
        shutil.chown(path, "frr", "frr")


_GIVEN: Final[dict[str, type[GivenBird] | type[GivenFrr]]] = {
    "bird": GivenBird,
    "frr": GivenFrr,
}
_EXTENDED: Final[dict[str, type[ExtendedBird] | type[ExtendedFrr]]] = {
    "bird": ExtendedBird,
    "frr": ExtendedFrr,
}


class World:
    """The place with one router in it, and its neighbours."""

    def __init__(self, lab: Lab, case: Case, place: Router) -> None:
        self.lab = lab
        self.case = case
        self.place = place

    def heard(self) -> dict[str, Heard]:
        """Return what each neighbour that the case names receives."""
        return {name: self._heard(self.lab.routers[name]) for name in self.case.hears}

    def depart(self, departure: Departure) -> None:
        """End the neighbours that leave; from now on the case is what is left then."""
        for name in departure.leave:
            self.lab.routers[name].stop()
        changes = {"hears": departure.hears, "kernel": departure.kernel, "holds": None}
        self.case = self.case.model_copy(update=changes)

    def _heard(self, router: Router) -> Heard:
        found: Heard = {}
        for family in FAMILIES:
            if isinstance(router, Bird):
                found |= _said_to(router, "master4" if family == "ipv4" else "master6")
            else:
                for prefix, views in router.routes(family).items():
                    found[prefix] = [_seen(view) for view in views]
        return found

    def held(self) -> dict[str, list[list[object]]]:
        """Return what the router itself learned, and what it thinks of it."""
        place = self.place
        found: dict[str, list[RouteView]] = {}
        for family in FAMILIES:
            if isinstance(place, Bird):
                found |= place.read_routes(family, str)
            else:
                found |= place.routes(family)
        return {
            prefix: sorted([_judged(view) for view in views], key=str)
            for prefix, views in found.items()
        }

    def kernel(self) -> dict[str, tuple[str, ...]]:
        """Return the main table's routes: how each leaves; without metrics and marks."""
        found: dict[str, tuple[str, ...]] = {}
        for version in ("-4", "-6"):
            argv = ["ip", version, "-j", "route", "show", "table", "main"]
            for row in json.loads(self.lab.namespace(PLACE).run(argv) or "[]"):
                if row.get("protocol", "boot") in _IGNORED:
                    continue
                dst = row["dst"]
                if dst == "default":
                    dst = "0.0.0.0/0" if version == "-4" else "::/0"
                elif "/" not in dst:
                    dst += "/32" if version == "-4" else "/128"
                found[dst] = tuple(sorted(_ways(row)))
        return found


def _judged(view: RouteView) -> list[object]:
    pref = 100 if view.local_pref is None else view.local_pref  # makers show it or not
    return [view.as_path, view.next_hop, pref, sorted(view.communities)]


def _ways(row: Mapping[str, Any]) -> Iterator[str]:
    if row.get("type", "unicast") != "unicast":
        yield row["type"]
        return
    for hop in row.get("nexthops", [row]):
        via = hop.get("gateway") or hop.get("via", {}).get("host", "")
        text = _LINK_LOCAL.sub("link-local", f"via {via}" if via else "")
        yield f"{text} dev {hop['dev']}".strip()


def _seen(view: RouteView) -> dict[str, Any]:
    """Return it as a mapping, with the addresses of links, random ones, made equal."""
    found = asdict(view) | {"med": view.med or None}
    words: dict[str, Any] = json.loads(_LINK_LOCAL.sub("link-local", json.dumps(found)))
    return words


def _said_to(bird: Bird, table: str) -> Heard:
    """Return all attributes, as BIRD writes them, of what it hears."""
    text = bird.birdc(f"show route all where source=RTS_BGP table {table}")
    found: Heard = {}
    prefix = ""
    for line in text.splitlines():
        if start := _ROUTE.match(line):
            prefix = start[1] or prefix
            found.setdefault(prefix, []).append({})
        elif match := _ATTRIBUTE.match(line):
            name, value = match.groups()
            if name.endswith("community"):
                value = " ".join(sorted(value.split()))
            elif name == "next_hop":
                # BIRD adds a link-local address if its link had one when the session began.
                value = value.split()[0]
            if (name, value) != ("med", "0"):
                found[prefix][-1][name] = _LINK_LOCAL.sub("link-local", value.strip())
    return found


@contextmanager
def both_worlds(name: str, case: Case) -> Iterator[tuple[World, World]]:
    """Run the other maker's and ours, each in a place of its own; a failure shows logs."""
    with ExitStack() as stack:
        labs = [stack.enter_context(Lab(case.lab)) for _ in range(2)]
        places = [_original(labs[0], name, case), _ours(labs[1], name)]
        for lab, place in zip(labs, places, strict=True):
            lab.routers[PLACE] = place
            for neighbour in case.lab.machines:
                if kind_of(case.lab, neighbour) != "none":
                    _neighbour(lab, neighbour, case)
        routers = [router for lab in labs for router in lab.routers.values()]
        try:
            for router in routers:
                router.start()
            for router in routers:
                router.wait_ready()
            theirs, ours = map(World, labs, (case, case), places)
            yield theirs, ours
        except BaseException as error:
            for router in routers:
                title = f"{router.kind} on {router.speaker.name}"
                error.add_note(f"{title}:\n{router.log_tail(25)}")
            raise


def _folder(lab: Lab, name: str) -> Path:
    folder = lab.folder / name
    folder.mkdir(exist_ok=True)
    return folder


def _original(lab: Lab, name: str, case: Case) -> Router:
    router = _GIVEN[case.original](
        speaker_of(lab.topology, PLACE), lab.namespace(PLACE), _folder(lab, PLACE)
    )
    path = FOLDER / f"{name}.{case.original}"
    router.text = path.read_text(encoding="utf-8")
    return router


def _ours(lab: Lab, name: str) -> Router:
    router = GivenPyBgpd(
        speaker_of(lab.topology, PLACE), lab.namespace(PLACE), _folder(lab, PLACE)
    )
    router.file = ROOT / "configs" / f"{name}.yaml"
    return router


def _neighbour(lab: Lab, name: str, case: Case) -> None:
    router = _EXTENDED[kind_of(lab.topology, name)](
        speaker_of(lab.topology, name), lab.namespace(name), _folder(lab, name)
    )
    router.extra = case.extra.get(name, "")
    lab.routers[name] = router
