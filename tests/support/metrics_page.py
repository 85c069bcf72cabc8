"""docs/metrics.md, written from the table of metrics."""

from bgpd.api.metrics import ROWS

HEAD = """\
# Metrics and health

Set `metrics.listen: ADDRESS:PORT` in the configuration to start an HTTP server. Without that
key there is no server, and the daemon does not even load the code for it.

| path | answers |
|---|---|
| `/metrics` | the metrics below, in Prometheus text format |
| `/healthz` | 200, or 503 for ten seconds after work has blocked the event loop for more than 5 s |
| `/readyz` | 200 once the daemon has started, listens, has read its datastore and has written the kernel's table for the first time; before that 503, with a line for each condition |
| `/api/status` | the same figures as the metrics, without those of single peers, as JSON |

Only the event loop decides about `/healthz`: a daemon that has lost its datastore or its peers
still forwards by what it knows, and a restart would not help. A single delay is no reason for a
restart either. A probe that runs every ten seconds sees each delay once, so let it require
several failures in a row. A stall from outside (a paused process, a suspended or migrated
machine) does not count: `/healthz` returns 200 as soon as the process runs again. The loop lag
in `/metrics` and `pybgpctl show status` is the longest of the last minute and includes stalls;
`pybgpd_process_stalls_total` counts them.

A metric is absent if there is nothing to measure: `pybgpd_fib_*` without the kernel's table,
`pybgpd_datastore_*` without a datastore. If an internal error makes the figures of a peer or a
family unavailable, only those are absent, and the daemon logs the error once.

| metric | type | labels | meaning |
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
