"""The page about the state machine, generated from its tables."""

from collections.abc import Iterable

from bgpd.session.fsm import DEFAULTS, START_EVENTS, TRANSITIONS, Action, Event, State

_HEAD = """\
# The session's state machine

Generated from the tables in `bgpd/session/fsm.py` by `bgpd/session/diagram.py`; a test fails
when this page is stale. Events up to 28 have the numbers of RFC 4271 section 8.1, 29 is that
of RFC 9687, the others are ours. Actions are carried out from left to right, then the machine
is in the next state. Start events have no effect outside `IDLE`.
"""


def render() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD, _drawing()]
    parts += [_section(state) for state in State]
    return "\n".join(parts)


def _drawing() -> str:
    """Return the transitions as a Mermaid diagram, one arrow for each pair of states."""
    ways: dict[tuple[State, State], list[str]] = {}
    for (state, event), (_, target) in TRANSITIONS.items():
        if state is not target and target is not State.IDLE:
            ways.setdefault((state, target), []).append(str(int(event)))
    lines = [
        f"    {state.name} --> {target.name}: {', '.join(events)}"
        for (state, target), events in ways.items()
    ]
    return _fence("mermaid", ["stateDiagram-v2", "    [*] --> IDLE", *lines])


def _fence(language: str, lines: Iterable[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```", ""])


def _section(state: State) -> str:
    lines = [
        f"## {state.name} ({int(state)})",
        "",
        "| event | actions | next state |",
        "| --- | --- | --- |",
    ]
    for event in Event:
        cell = TRANSITIONS.get((state, event))
        if cell is not None:
            lines.append(_row(f"{int(event)} {event.name}", *cell))
    if state is not State.IDLE:
        names = ", ".join(str(int(event)) for event in sorted(START_EVENTS))
        lines.append(f"| {names} (starts) | none | {state.name} |")
    lines.append(_row("any other", *DEFAULTS[state]))
    return "\n".join([*lines, ""])


def _row(event: str, actions: Iterable[Action], target: State) -> str:
    names = ", ".join(action.name for action in actions) or "none"
    return f"| {event} | {names} | {target.name} |"
