"""The page of the member's state machine, drawn from its table so that the two cannot drift apart."""

from collections.abc import Iterable

from reflector.member_fsm import TRANSITIONS, Action, Event, State, lookup

_HEAD = """\
# The update group member's state machine

Generated from the table in `reflector/member_fsm.py` by `tests/support/members_page.py`; a test
fails when this page is stale. A member is one peer in one update group of one address family.
The head of the module says what the states and registers are for.

Actions are carried out from left to right; the member is in its next state already. `GATHER`,
`SEND_BEGIN`, `SEND_END` and `CATCH_UP` are done by `bgpd/pipeline/catch_up.py`, which feeds the
events; the others write registers of the member. `LEFT` has the same effect in every state.
"""


def members_page() -> str:
    """Return the page as Markdown."""
    return "\n".join([_HEAD, _drawing(), *map(_section, State)])


def _drawing() -> str:
    """Return the transitions as a Mermaid diagram, one arrow for each pair of states."""
    ways: dict[tuple[State, State], list[str]] = {}
    for (state, event), (_, target) in TRANSITIONS.items():
        if state is not target:
            ways.setdefault((state, target), []).append(event.name)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> OUTSIDE"]
    for (state, target), events in ways.items():
        lines.append(f"    {state.name} --> {target.name}: {', '.join(events)}")
    return "\n".join([*lines, "```", ""])


def _section(state: State) -> str:
    lines = [
        f"## {state.name}",
        "",
        "| event | actions | next state |",
        "| --- | --- | --- |",
    ]
    for event in Event:
        cell = lookup(state, event)
        if cell != ((), state):
            lines.append(_row(event.name, *cell))
    lines.append(_row("any other", (), state))
    return "\n".join([*lines, ""])


def _row(event: str, actions: Iterable[Action], target: State) -> str:
    names = ", ".join(action.name for action in actions) or "none"
    return f"| {event} | {names} | {target.name} |"
