"""docs/metrics.md, written from the table of metrics."""

from bgpd.api.metrics import ROWS

HEAD = """\
# Metrics and health

`metrics.listen: ADDRESS:PORT` in the configuration starts an HTTP server; without it there
is none, and nothing is imported for it.

| path | answers |
|---|---|
| `/metrics` | the metrics below, as Prometheus' text |
| `/healthz` | 200; 503 for ten seconds after work held the event loop up for over 5 s |
| `/readyz` | 200 once the daemon has started, listens, has read its datastore and has written the kernel's table for the first time; 503 before, with a line for each condition |
| `/api/status` | what metrics tell, without single peers, as JSON |

Only the event loop decides on `/healthz`: a daemon without datastore or peers still forwards
by what it knows, and a restart would not help. One such delay is no reason to restart either, so a
probe that comes every ten seconds, and sees each once, should ask for several failures in a row. A standstill
from outside (a paused process, a suspended or migrated machine) does not count: once the process
goes on, `/healthz` says 200. The loop's lag in `/metrics` and `pybgpctl show status` is the longest of the last
minute, standstills included; `pybgpd_standstills_total` counts those.

A metric is missing where there is nothing to measure: `pybgpd_fib_*` without the kernel's
table, `pybgpd_datastore_*` without a datastore. Should a fault of the daemon's make the figures of a
peer or a family unknown, those are missing, all others are there, and the log says so once.

| metric | type | labels | what it tells |
|---|---|---|---|
"""


def metrics_page() -> str:
    """Return the page."""
    lines = []
    for row in ROWS:
        name = f"{row.name}_total" if row.is_counter else row.name
        kind = "counter" if row.is_counter else "gauge"
        labels = ", ".join(row.labels)
        lines.append(f"| `{name}` | {kind} | {labels} | {row.help} |\n")
    return HEAD + "".join(lines)
