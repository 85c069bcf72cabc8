"""BIRD's commands, and the function for each."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from socket import gethostname
from types import MappingProxyType
from typing import Any, Final

from bgpd.api.bird import Line, Session
from bgpd.api.protocol import ControlError
from bgpd.show.bird.dialect import Dialect
from bgpd.show.bird.filters import parse_filter
from bgpd.show.bird.interfaces import second_interfaces
from bgpd.show.bird.protocols import OWN, show_protocols, shown_peers
from bgpd.show.bird.routes import Query, show_route
from bgpd.show.bird.tokens import Kind, QueryError, Tokens, unexpected
from bgpd.show.bird.vocabulary import date_and_time, fits
from bgpd.show.state import Actions, DaemonView, ResetKind, dotted
from rib.family import ADDRESS_OCTETS, Family
from rib.nlri import format_address

Words = list[str]
Lines = Iterator[Line | asyncio.Future[Any] | None]

_WORD: Final = re.compile(r"""\s*(?:"([^"]*)"?|'([^']*)'?|([^\s"']+))""")

_FLAGS: Final = MappingProxyType(
    {
        "all": "is_verbose",
        "primary": "is_primary",
        "count": "is_count",
        "stats": "is_count",
        "filtered": "is_filtered",
    }
)
_VALUES: Final = MappingProxyType(
    {
        "for": "address",
        "in": "inside",
        "protocol": "protocol",
        "export": "export",
        "noexport": "export",
    }
)
_HELP: Final = (
    "show status",
    'show protocols [all] [NAME|"PATTERN"]',
    "show route [PREFIX|for ADDRESS|in PREFIX] [table T] [all] [primary] [count] ...",
    "show route ... [filtered] [protocol P] [export P|noexport P] [where EXPRESSION]",
    "show interfaces [summary]",
    "show symbols [table|protocol|NAME]",
    "show memory",
    "configure [check|soft]",
    'enable|disable|restart|reload [in|out] NAME|"PATTERN"|all',
    "down",
    "restrict",
)


_MEMORY_LINES: Final = {
    "Routing tables:": ("loc-rib", "path-sets", "adj-rib-in", "kernel"),
    "Route attributes:": ("attributes", "next-hops"),
    "Protocols:": ("peers", "update-groups", "policies"),
    "Total:": ("process",),
}
"""BIRD's titles, and our parts that are nearest to them."""


class BirdCommands:
    """Answers BIRD's commands.

    Args:
        view: The daemon.
        dialect: The form of the answers, and whose sessions and routes are shown.
        is_read_only: Nothing can be changed.
    """

    def __init__(
        self, view: DaemonView, dialect: Dialect, *, is_read_only: bool = False
    ) -> None:
        self._view = view
        self._dialect = dialect
        self._is_read_only = is_read_only
        self._commands: Mapping[str, Callable[[Words, Session], Lines]] = {
            "show": self._show,
            "configure": self._configure,
            "down": self._down,
            "enable": self._enable,
            "disable": self._disable,
            "restart": self._restart,
            "reload": self._reload,
            "restrict": self._restrict,
            "echo": self._echo,
            "help": self._help,
            "?": self._help,
        }
        self._shows: Mapping[str, Callable[[Words], Lines]] = {
            "status": self._show_status,
            "protocols": self._show_protocols,
            "interfaces": self._show_interfaces,
            "symbols": self._show_symbols,
            "memory": self._show_memory,
        }

    @property
    def greeting(self) -> str:
        """The text of the first line."""
        return f"BIRD {self._dialect.version} ready."

    def answer(self, command: str, session: Session) -> Lines:
        """Yield the lines of an answer."""
        words = _words(command.rstrip(";"))
        if not words:
            return
        handle = self._commands.get(words[0])
        try:
            if words[:2] == ["show", "route"]:
                text = command.lstrip().removeprefix("show").lstrip()
                yield from self._show_route(text.removeprefix("route"))
                return
            if handle is None:
                raise unexpected(words[0])
            yield from handle(words[1:], session)
        except QueryError as error:
            yield Line(error.code, error.text, is_last=True)
        except ControlError as error:
            yield Line(8000, error.message, is_last=True)

    # -- looking ------------------------------------------------------------------------

    def _show(self, words: Words, _: Session) -> Lines:
        handle = self._shows.get(words[0]) if words else None
        if handle is None:
            raise unexpected(*words[:1])
        yield from handle(words[1:])

    def _show_status(self, words: Words) -> Lines:
        if words:
            raise unexpected(words[0])
        view = self._view
        now, started = view.now, view.started_at
        yield Line(1000, f"BIRD {self._dialect.version}")
        yield Line(1011, f"Router ID is {dotted(view.speaker.context.router_id)}")
        if self._dialect.is_second:
            yield Line(1011, f"Hostname is {gethostname()}")
        yield Line(1011, f"Current server time is {date_and_time(now, now)}")
        yield Line(1011, f"Last reboot on {date_and_time(started, now)}")
        configured = view.process.changed_at or started
        yield Line(1011, f"Last reconfiguration on {date_and_time(configured, now)}")
        report = view.process.recovery()
        if report is not None:
            waiting, elapsed, cap = report.progress
            noun = "protocol" if waiting == 1 else "protocols"
            yield Line(24, "Graceful restart recovery in progress")
            yield Line(24, f"  Waiting for {waiting} {noun} to recover")
            left = max(0, round(cap - elapsed))
            yield Line(24, f"  Wait timer is {left}/{round(cap)}")
        yield Line(13, "Daemon is up and running", is_last=True)

    def _show_protocols(self, words: Words) -> Lines:
        shows_all = words[:1] == ["all"]
        rest = words[1:] if shows_all else words
        if len(rest) > 1:
            raise unexpected(rest[1])
        pattern = rest[0] if rest else ""
        yield from show_protocols(
            self._view, self._dialect, pattern, shows_all=shows_all
        )

    def _show_route(self, text: str) -> Lines:
        query = query_of(text, self._dialect)
        yield from show_route(self._view, self._dialect, query)

    def _show_symbols(self, words: Words) -> Lines:
        if len(words) > 1:
            raise unexpected(words[1])
        for name, kind in symbols(self._view, self._dialect):
            if not words or words[0] in (kind.split()[-1], name):
                yield Line(1010, f"{name:<8s}\t{kind}")
        yield Line(0, is_last=True)

    def _show_memory(self, words: Words) -> Lines:
        if words:
            raise unexpected(words[0])
        from bgpd.show.memory import memory_by_part  # noqa: PLC0415  # seldom asked for

        sizes = yield from memory_by_part(self._view)
        yield Line(1018, "BIRD memory usage")
        for title, parts in _MEMORY_LINES.items():
            size = sum(sizes.get(part, 0) for part in parts)
            yield Line(1018, f"{title:<17}{size / 1024:10.1f} kB")
        yield Line(0, is_last=True)

    def _show_interfaces(self, words: Words) -> Lines:
        if words not in ([], ["summary"]):
            raise unexpected(words[0])
        links = self._view.kernel.links()
        if self._dialect.is_second:
            yield from second_interfaces(links, is_summary=bool(words))
            return
        octets = ADDRESS_OCTETS[self._dialect.families[0].afi]
        if words:
            yield Line(2005, "interface state address")
        for link in links:
            addresses = [each for each in link.addresses if len(each[0]) == octets]
            state = "Up" if link.is_admin_up else "Down"
            if words:
                first = ", ".join(f"{format_address(a)}/{n}" for a, n in addresses[:1])
                yield Line(1005, f"{link.name:<9s} {state.lower():<5s} {first}")
                continue
            yield Line(1001, f"{link.name} {state} (index={link.index})")
            carrier = "Up" if link.is_up else "Down"
            yield Line(1004, f"\tAdmin{state} Link{carrier}")
            for number, (address, bits) in enumerate(addresses):
                kind = "" if number else "Primary, "
                yield Line(
                    1003, f"\t{format_address(address)}/{bits} ({kind}scope univ)"
                )
        yield Line(0, is_last=True)

    # -- changing -----------------------------------------------------------------------

    def _actions(self, session: Session) -> Actions:
        if session.is_restricted or self._is_read_only:
            raise QueryError(8007, "Access denied")
        if self._view.actions is None:
            raise QueryError(
                8007, "Access denied: this daemon accepts only read-only commands"
            )
        return self._view.actions

    def _configure(self, words: Words, session: Session) -> Lines:
        actions = self._actions(session)
        if words == ["check"]:
            yield Line(20, "Configuration OK", is_last=True)
            return
        if words not in ([], ["soft"]):
            raise unexpected(words[0])
        # All that comes from a datastore is followed as it changes: what can be read
        # again is the daemon's own file.
        yield Line(2, "Reading configuration")
        reload = asyncio.ensure_future(actions.reload())
        reload.add_done_callback(_was_exported)
        yield reload
        try:
            reload.result()
        except ControlError as error:
            if "there is no configuration" not in error.message:
                yield Line(8002, error.message, is_last=True)
                return
        yield Line(3, "Reconfigured", is_last=True)

    def _down(self, words: Words, session: Session) -> Lines:
        if words:
            raise unexpected(words[0])
        self._actions(session).shut_down("", flushes=False)
        yield Line(7, "Shutdown requested", is_last=True)

    def _enable(self, words: Words, session: Session) -> Lines:
        actions = self._actions(session)
        for name, address, is_started in self._chosen(words):
            if is_started:
                yield Line(10, f"{name}: already enabled")
            else:
                actions.enable(address)
                yield Line(11, f"{name}: enabled")
        yield Line(0, is_last=True)

    def _disable(self, words: Words, session: Session) -> Lines:
        actions = self._actions(session)
        for name, address, is_started in self._chosen(words):
            if is_started:
                actions.disable(address, "")
                yield Line(9, f"{name}: disabled")
            else:
                yield Line(8, f"{name}: already disabled")
        yield Line(0, is_last=True)

    def _restart(self, words: Words, session: Session) -> Lines:
        actions = self._actions(session)
        for name, address, is_started in self._chosen(words):
            if is_started:
                actions.reset(address, ResetKind.SESSION)
                yield Line(12, f"{name}: restarted")
            else:
                yield Line(8, f"{name}: already disabled")
        yield Line(0, is_last=True)

    def _reload(self, words: Words, session: Session) -> Lines:
        actions = self._actions(session)
        kinds = {"in": (ResetKind.SOFT_IN,), "out": (ResetKind.SOFT_OUT,)}
        wanted = (ResetKind.SOFT_IN, ResetKind.SOFT_OUT)
        if words and words[0] in kinds:
            wanted, words = kinds[words[0]], words[1:]  # type: ignore[assignment]
        for name, address, _ in self._chosen(words):
            try:
                for kind in wanted:
                    actions.reset(address, kind)
            except ControlError:
                yield Line(8006, f"{name}: reload failed")
            else:
                yield Line(15, f"{name}: reloading")
        yield Line(0, is_last=True)

    def _chosen(self, words: Words) -> list[tuple[str, str, bool]]:
        """Return name, address and whether it is enabled, of the matching peers."""
        if len(words) != 1:
            raise unexpected(*words[1:2])
        pattern = "*" if words[0] == "all" else words[0]
        chosen = [
            (name, peer.settings.remote_addr, peer.driver.session.is_started)
            for name, peer in shown_peers(self._view, self._dialect).items()
            if fits(name, pattern) or peer.settings.name == pattern
        ]
        if not chosen:
            raise QueryError(8003, "No protocols match")
        return chosen

    # -- the rest -----------------------------------------------------------------------

    def _restrict(self, words: Words, session: Session) -> Lines:
        if words:
            raise unexpected(words[0])
        session.is_restricted = True
        yield Line(16, "Access restricted", is_last=True)

    def _echo(self, _: Words, __: Session) -> Lines:
        yield Line(0, is_last=True)

    def _help(self, _: Words, __: Session) -> Lines:
        for text in _HELP:
            yield Line(1025, text)
        yield Line(0, is_last=True)


def _words(command: str) -> Words:
    """Return the words of a command; quotation marks of both kinds hold one together."""
    return [text or symbol or word for text, symbol, word in _WORD.findall(command)]


def query_of(command: str, dialect: Dialect) -> Query:
    """Return the query that stands behind ``show route``.

    Raises:
        QueryError: The command is wrong.
    """
    query, tokens = Query(), Tokens(command)
    while tokens.peek().kind is not Kind.END:
        kind, word = tokens.take()
        if kind is Kind.SIGN:
            if word == ";" and tokens.peek().kind is Kind.END:
                break
            raise unexpected(word)
        if kind is Kind.WORD and word in _FLAGS:
            setattr(query, _FLAGS[word], True)
        elif kind is Kind.WORD and word in _VALUES:
            setattr(query, _VALUES[word], tokens.name())
            query.is_negated = query.is_negated or word == "noexport"
        elif kind is Kind.WORD and word == "table":
            query.families = _families(tokens.name(), dialect)
        elif kind is Kind.WORD and word == "where":
            query.where = parse_filter(tokens)
        elif kind is Kind.ADDRESS and not query.exact:
            query.exact = word
        else:
            raise unexpected(word)
    return query


def _families(table: str, dialect: Dialect) -> tuple[Family, ...]:
    if table == "all":
        return dialect.families
    families = dialect.named(table)
    if not families:
        names = " and ".join({dialect.table_of(each): 0 for each in dialect.families})
        raise QueryError(
            9001, f"syntax error, there is no table {table!r}, only {names}"
        )
    return families


def symbols(view: DaemonView, dialect: Dialect) -> Iterator[tuple[str, str]]:
    """Yield the names of tables and protocols, with what they are."""
    for table in dict.fromkeys(map(dialect.table_of, dialect.families)):
        yield table, "routing table"
    for name in (*OWN, *shown_peers(view, dialect)):
        yield name, "protocol"


def _was_exported(reload: asyncio.Future[Any]) -> None:
    """Mark its outcome as retrieved: the client may be gone by now."""
    if not reload.cancelled():
        reload.exception()
