"""BIRD's commands, and the function for each."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from bgpd.api.bird import Line, Session
from bgpd.api.protocol import ControlError
from bgpd.show.bird.protocols import peers_of, show_protocols
from bgpd.show.bird.routes import Query, QueryError, show_route
from bgpd.show.bird.vocabulary import TABLES, date_and_time
from bgpd.show.state import Actions, DaemonView, ResetKind, dotted
from rib.family import ADDRESS_OCTETS, Family
from rib.nlri import format_address

Words = list[str]
Lines = Iterator[Line | asyncio.Future[Any] | None]

_FLAGS: Final = MappingProxyType(
    {
        "all": "is_verbose",
        "primary": "is_primary",
        "count": "is_count",
        "stats": "is_count",
    }
)
_VALUES: Final = MappingProxyType(
    {"for": "address", "protocol": "protocol", "export": "export", "noexport": "export"}
)
_HELP: Final = (
    "show status",
    'show protocols [all] [NAME|"PATTERN"]',
    "show route [for ADDRESS|PREFIX] [all] [primary] [protocol P] [export P] [count]",
    "show interfaces [summary]",
    "configure [check|soft]",
    'enable|disable|restart|reload [in|out] NAME|"PATTERN"|all',
    "down",
    "restrict",
)


class BirdCommands:
    """Answers BIRD's commands for one address family.

    Args:
        view: The daemon.
        family: Whose sessions and routes are shown.
        version: Which BIRD to be.
    """

    def __init__(self, view: DaemonView, family: Family, version: str) -> None:
        self._view = view
        self._family = family
        self._version = version
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
            "route": self._show_route,
            "interfaces": self._show_interfaces,
        }

    @property
    def greeting(self) -> str:
        """The text of the first line."""
        return f"BIRD {self._version} ready."

    def answer(self, command: str, session: Session) -> Lines:
        """Yield the lines of an answer."""
        words = command.replace('"', ' " ').split() if '"' in command else None
        words = _split(command) if words is None else _quoted(words)
        if not words:
            return
        handle = self._commands.get(words[0])
        try:
            if handle is None:
                raise _unexpected(words[0])
            yield from handle(words[1:], session)
        except QueryError as error:
            yield Line(error.code, error.text, is_last=True)
        except ControlError as error:
            yield Line(8000, error.message, is_last=True)

    # -- looking ------------------------------------------------------------------------

    def _show(self, words: Words, _: Session) -> Lines:
        handle = self._shows.get(words[0]) if words else None
        if handle is None:
            raise _unexpected(*words[:1])
        yield from handle(words[1:])

    def _show_status(self, words: Words) -> Lines:
        if words:
            raise _unexpected(words[0])
        view = self._view
        now, started = view.now, view.started_at
        yield Line(1000, f"BIRD {self._version}")
        yield Line(1011, f"Router ID is {dotted(view.speaker.context.router_id)}")
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
            raise _unexpected(rest[1])
        pattern = rest[0] if rest else ""
        yield from show_protocols(
            self._view, self._family, pattern, shows_all=shows_all
        )

    def _show_route(self, words: Words) -> Lines:
        query = _query(words)
        yield from show_route(self._view, self._family, query)

    def _show_interfaces(self, words: Words) -> Lines:
        if words not in ([], ["summary"]):
            raise _unexpected(words[0])
        links = self._view.kernel.links()
        octets = ADDRESS_OCTETS[self._family.afi]
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
        if session.is_restricted:
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
            raise _unexpected(words[0])
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
            raise _unexpected(words[0])
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
        from fnmatch import fnmatchcase  # noqa: PLC0415

        if len(words) != 1:
            raise _unexpected(*words[1:2])
        pattern = "*" if words[0] == "all" else words[0]
        chosen = [
            (name, peer.settings.remote_addr, peer.driver.session.is_started)
            for name, peer in peers_of(self._view, self._family).items()
            if fnmatchcase(name, pattern)
        ]
        if not chosen:
            raise QueryError(8003, "No protocols match")
        return chosen

    # -- the rest -----------------------------------------------------------------------

    def _restrict(self, words: Words, session: Session) -> Lines:
        if words:
            raise _unexpected(words[0])
        session.is_restricted = True
        yield Line(16, "Access restricted", is_last=True)

    def _echo(self, _: Words, __: Session) -> Lines:
        yield Line(0, is_last=True)

    def _help(self, _: Words, __: Session) -> Lines:
        for text in _HELP:
            yield Line(1025, text)
        yield Line(0, is_last=True)


def _unexpected(word: str = "") -> QueryError:
    what = repr(word) if word else "END"
    return QueryError(9001, f"syntax error, unexpected {what}")


def _split(command: str) -> Words:
    return command.rstrip(";").split()


def _quoted(words: Words) -> Words:
    """Join what stands between quotation marks, which patterns have."""
    return [word for word in words if word != '"']


def _query(words: Words) -> Query:
    query = Query()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in _FLAGS:
            setattr(query, _FLAGS[word], True)
        elif word in _VALUES:
            if not rest:
                raise _unexpected()
            setattr(query, _VALUES[word], rest.pop(0))
            query.is_negated = query.is_negated or word == "noexport"
        elif word == "table":
            if not rest or rest.pop(0) not in TABLES:
                raise QueryError(9001, "syntax error, there is one table, master")
        elif word in ("where", "filter"):
            text = f"syntax error, {word} is not supported; use protocol, export or for"
            raise QueryError(9001, text)
        elif not query.exact and (word[:1].isdigit() or ":" in word):
            query.exact = word
        else:
            raise _unexpected(word)
    return query


def _was_exported(reload: asyncio.Future[Any]) -> None:
    """Mark its outcome as retrieved: the client may be gone by now."""
    if not reload.cancelled():
        reload.exception()
