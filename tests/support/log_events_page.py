"""docs/log-events.md, written from the log calls of the program."""

from types import MappingProxyType
from typing import Final

from tests.support.log_calls import PLACEHOLDER, LogCall, log_calls

HEAD: Final = """\
# Log events

With `log.format: json` or `--log-format json` each line of the log is an object of JSON:

```json
{"time": "2026-11-30T14:31:07.512Z", "level": "warning", "logger": "bgpd.speaker.peer", "message": "tor-1 (192.0.2.1): session down: notification received; 6/2 cease, administrative shutdown: \\"maintenance\\"", "event": "session-down", "peer": "tor-1", "address": "192.0.2.1", "reason": "notification received; 6/2 cease, administrative shutdown: \\"maintenance\\"", "cause": "notification-received", "code": 6, "subcode": 2}
{"time": "2026-11-30T14:31:09.040Z", "level": "info", "logger": "bgpd.speaker.peer", "message": "tor-1 (192.0.2.1): established with AS 64512, hold time 90 s, ipv4-unicast, ipv6-unicast", "event": "session-up", "peer": "tor-1", "address": "192.0.2.1", "remote_as": 64512, "hold_time": 90, "families": ["ipv4-unicast", "ipv6-unicast"]}
{"time": "2026-11-30T14:31:19.041Z", "level": "warning", "logger": "bgpd.pipeline.update_error_log", "message": "suppressed 1999 similar lines within 10 s: tor-1 (192.0.2.1): malformed UPDATE: ORIGIN: length 3 instead of 1 (RFC 7606 7.1) (treat-as-withdraw); body 00000006400103000000180a0000", "event": "malformed-update", "peer": "tor-1", "address": "192.0.2.1", "reason": "ORIGIN: length 3 instead of 1 (RFC 7606 7.1)", "remedy": "treat-as-withdraw", "body": "00000006400103000000180a0000", "count": 1, "suppressed": 1999, "interval": 10.0}
```

Select by `event` and by fields: `message` is the text of the plain log, and its wording may change. Text and
fields come from the same values. Events and fields may be added in any release; a field that says nothing is
absent.

* `time` is UTC as in RFC 3339; lines of text begin with the same, `2026-11-30T14:31:07.512Z WARNING ...`,
  but for systemd's journal, which has the time itself and gets each line's priority.
* Lines of Python and of libraries have no `event`. Errors in options and configuration that keep
  the daemon from starting are plain text, since the format is not known yet.
* Numbers are numbers: durations are seconds, to the millisecond. A text longer than 2,048 characters ends with
  `...`, and a list has at most 100 items.
* Every object is one line of valid UTF-8. Control characters and Unicode's line separators are escaped. An octet
  that cannot be decoded appears as in the plain log, such as `\\udcff`.
* A line `suppressed N similar lines ...` has the fields of the last of them, with `suppressed` and `interval`. So
  an event's lines are counted right if each counts 1, or `suppressed` if present. A line about several things at
  once has their number in `count`.

## Fields

| field | what it is |
|---|---|
"""

# Of every line, and of summaries; then those that calls name.
FRAME: Final = MappingProxyType(
    {
        "time": "when",
        "level": "`debug`, `info`, `warning`, `error` or `critical`",
        "logger": "module of the program, such as `bgpd.speaker.peer`",
        "message": "the text",
        "traceback": "of an internal error",
        "event": "what happened, from the table below",
        "suppressed": "how many similar lines this one stands for",
        "interval": "within how many seconds",
    }
)
FIELDS: Final = MappingProxyType(
    {
        "peer": "name of a peer; that of a dynamic neighbour is its address",
        "address": "of a peer, or of the source of a connection",
        "addresses": "of peers, the first of them",
        "range": "the range that a dynamic neighbour belongs to",
        "remote_as": "the peer's AS number",
        "hold_time": "negotiated",
        "old_state": "of the state machine, before",
        "new_state": "of the state machine, after",
        "cause": "why a session ended: one of a few words, such as `hold-timer-expired`",
        "code": "of a NOTIFICATION, sent or received",
        "subcode": "of a NOTIFICATION",
        "family": "such as `ipv4-unicast`",
        "families": "a list",
        "by": "who wants a drain: `command`, `node` or `shutdown`",
        "text": "for the peer's operator, where a drain ends the session",
        "best": "prefixes whose best path is the peer's",
        "movable": "those of them that have a path of a peer that is not drained",
        "prefix": "a destination, the first of several; of a range that a step changes",
        "prefixes": "a list, the first of them",
        "next_hop": "its address; of a session our own",
        "old_next_hop": "what it was before",
        "paths": "of a prefix, a list of texts",
        "peer_type": "`client`, `non-client` or `ebgp`",
        "advertisement_interval": "seconds",
        "limit": "the number allowed",
        "limit_name": "the key of the configuration that sets the limit",
        "is_blocking": "whether further prefixes are filtered",
        "unit": "what the limit counts, for people",
        "remedy": "what follows from a malformed UPDATE (RFC 7606)",
        "body": "of an UPDATE, the first 128 octets in hexadecimal",
        "policy": "name of a policy",
        "policies": "names of policies, the first of them",
        "source": "where objects or routes come from: an endpoint, a folder, an API group, a name",
        "collector": "name of a BMP collector, its address and port",
        "records": "kind of MRT records: `rib` or `updates`",
        "dropped": "how many of them could not be written, since the start",
        "kind": "of an object, or of what a step of a reload changes",
        "key": "of an object in the datastore; the section that a step of a reload changes",
        "field": "of an object",
        "node": "name of a node",
        "version": "of the program, its build and its Python",
        "files": "a list of paths; of a configuration, the file and those it names",
        "until": "when something ends by itself, UTC",
        "file": "path of a file, folder or socket",
        "place": "table and protocol number in the kernel, for people",
        "new_place": "as `place`",
        "table": "number of the kernel's table",
        "protocol": "number that marks our routes in the kernel",
        "interface": "name of a device",
        "local_address": "our own address",
        "port": "TCP port",
        "ip_version": "4 or 6",
        "router_id": "our own",
        "as": "our AS number",
        "command": "of a client of a socket",
        "arguments": "of the command, an object",
        "request": "command and arguments, for people",
        "client": "the process at the other end of the socket",
        "part": "of the daemon: a task, a process, a socket, or what was being done",
        "meanwhile": "what holds until the part works again",
        "step": "of a reload or of a change of the peers, for people",
        "change": "what is done to the peers",
        "outcome": "what was done",
        "start": "`restart`, or `start` if it may have been a first start",
        "count": "how many",
        "seconds": "how long it took or will take",
        "longest": "seconds at most between two attempts",
        "exit_code": "of the process",
        "reason": "why, for people",
    }
)

# Made by the log itself, which has no calls for them: event, level, text, fields.
OWN: Final = (
    (
        "log-lines-lost",
        "warning",
        "COUNT log lines were lost here: REASON",
        "`count`, `reason`",
    ),
    ("line-not-formatted", "critical", "cannot format a log line of MODULE", ""),
    ("start-failed", "critical", "pybgpd: REASON", "`reason`"),
)


def shown(text: str) -> str:
    """Return a text as the page has it, with the values in capitals."""
    return PLACEHOLDER.sub(lambda found: (found[1] or "%").upper(), text)


def _row(event: str, calls: list[LogCall]) -> str:
    levels = dict.fromkeys(each for call in calls for each in call.of(event, "levels"))
    found = (text for call in calls for text in call.of(event, "texts"))
    texts = dict.fromkeys(map(shown, found))
    fields = dict.fromkeys(name for call in calls for name in call.fields)
    cells = (
        f"`{event}`",
        ", ".join(levels),
        "<br>".join(f"`` {text} ``" if "`" in text else f"`{text}`" for text in texts),
        ", ".join(f"`{name}`" for name in fields),
    )
    return f"| {' | '.join(cells)} |\n"


def log_events_page() -> str:
    """Return the page."""
    fields = {**FRAME, **FIELDS}
    lines = [f"| `{name}` | {text} |\n" for name, text in fields.items()]
    lines.append(
        "\n## Events\n\nA value's place in the text is the name of its field, in capitals.\n\n"
        "| event | level | text | fields |\n|---|---|---|---|\n"
    )
    calls: dict[str, list[LogCall]] = {}
    for call in log_calls():
        for event in call.events:
            calls.setdefault(event, []).append(call)
    rows = {event: _row(event, calls[event]) for event in calls}
    for event, level, text, names in OWN:
        rows[event] = f"| `{event}` | {level} | `{text}` | {names} |\n"
    lines += [rows[event] for event in sorted(rows)]
    return HEAD + "".join(lines)
