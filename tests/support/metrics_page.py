"""docs/metrics.md, written from the table of metrics."""

from bgpd.api.metrics import ROWS
from bgpd.api.process_metrics import PROCESS_ROWS

HEAD = """\
# Metrics and health

Set `metrics.listen: ADDRESS:PORT` in the configuration to start an HTTP server. Without that
key there is no server, and the daemon does not even load the code for it.

| path | answers |
|---|---|
| `/metrics` | the metrics below, in Prometheus text format |
| `/healthz` | 200, or 503 for ten seconds after work has blocked the event loop for more than 5 s |
| `/readyz` | 200 once the daemon has started, listens, has read its datastore and has written the kernel's table for the first time; before that 503, with a line for each condition |

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

Metrics of a single peer have its name and address as labels, and those of its tables the family.
What else is known of the peer is in the labels of `pybgpd_peer_info`, to be joined when it is
needed:

```promql
pybgpd_peer_up * on (instance, peer, address) group_left (remote_as, group) pybgpd_peer_info
```

With more than `metrics.peers` peers (5,000 by default) the metrics of single peers leave out the
rest, dynamic neighbours first; `pybgpd_omitted_peers` counts them, and
`pybgpd_sessions` and `pybgpd_range_peers` still include them.

`pybgpd_propagation_seconds` counts prefixes, not UPDATEs, and only changes that a peer's UPDATE
made. The clock starts with the turn of the event loop that finds the octets in the socket; stage
`sent` ends when the flush that a change belongs to is written to the last peer that keeps up,
`installed` with the kernel's acknowledgement. So every value is an upper bound for its prefix.
What a peer waits on its own side, and the time in a slow peer's queue, are not in it.
`metrics.propagation: false` measures nothing.

The last ten metrics are those of every Python program with Prometheus' own library. Alerts, a
dashboard and scrape configurations are in [configs/monitoring](../configs/monitoring).

| metric | type | labels | meaning |
|---|---|---|---|
"""


def metrics_page() -> str:
    """Return the page."""
    lines = []
    for row in ROWS:
        labels = ", ".join(row.labels)
        lines.append(f"| `{row.full_name}` | {row.kind} | {labels} | {row.help} |\n")
    lines += [
        f"| `{name}` | {kind} | {labels} | {text} |\n"
        for name, kind, labels, text in PROCESS_ROWS
    ]
    return HEAD + "".join(lines)
