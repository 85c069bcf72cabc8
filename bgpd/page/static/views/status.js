// The daemon as a whole: warnings first, then what it is, its tables, the kernel, the datastore.
import { h, render } from "../dom.js";
import { age, clock, count, counted, duration, size } from "../format.js";
import { icon } from "../marks.js";
import { badge, card, facts, heading, loading, table } from "../parts.js";

/** @typedef {import("../main.js").Page} Page */

/**
 * @param {Page} page
 * @returns {() => void}
 */
export function statusView({ root, store }) {
  const draw = () => {
    const { status } = store;
    if (!status) {
      render(root, heading("Status"), loading("the status"));
      return;
    }
    render(root, heading("Status", `up for ${duration(status.uptime)}`), warnings(status), cards(status, store));
  };
  draw();
  const ends = [store.follow("status", draw)];
  return () => {
    for (const end of ends) end();
  };
}

/** @param {any} status */
function warnings(status) {
  if (!status.warnings.length) {
    return h("p", { class: "notice good", role: "status" }, "No warnings.");
  }
  return h(
    "section",
    { class: "warnings", "aria-label": "Warnings" },
    h("h2", {}, counted(status.warnings.length, "warning")),
    h("ul", {}, status.warnings.map((/** @type {string} */ text) => h("li", {}, icon("warning"), h("span", {}, text)))),
  );
}

/**
 * @param {any} status
 * @param {import("../store.js").Store} store
 */
function cards(status, store) {
  const { fib, datastore, selection_deferral: deferral } = status;
  return h(
    "div",
    { class: "cards" },
    card(
      "This speaker",
      facts([
        ["Node", status.node],
        ["AS", status.as],
        ["Router ID", status.router_id],
        ["Cluster ID", status.cluster_id],
        ["Listens on", status.listening.map((/** @type {any} */ l) => `${l.address} port ${l.port}`).join(", ") || "nothing"],
        ["Peers", `${count(status.peers.established)} of ${count(status.peers.total)} established`],
        ["Connections rejected", count(status.rejected_connections)],
      ]),
    ),
    card(
      "Process",
      facts([
        ["Version", `${status.version}, ${status.build}`],
        ["Python", `${status.python}, ${status.event_loop}`],
        ["Started", clock(status.started_at)],
        ["Clock", store.skew ? badge("warn", `${duration(Math.abs(store.skew) / 1000)} ${store.skew > 0 ? "ahead of" : "behind"} this browser's`) : null],
        ["Memory", size(status.memory)],
        ["Event loop", status.loop_lag === null ? null : `at worst ${(status.loop_lag * 1000).toFixed(1)} ms late in the last minute`],
        ["Background jobs", status.background_jobs ? count(status.background_jobs) : null],
      ]),
    ),
    deferral
      ? card(
          "Selection deferral",
          facts([
            ["Since", `${duration(deferral.elapsed)} of at most ${duration(deferral.limit)}`],
            ["Waits for", `${counted(deferral.awaited_count, "peer")}: ${deferral.awaited.join(", ")}`],
          ]),
        )
      : null,
    card(
      "Tables",
      table({
        label: "Tables",
        columns: ["Family", "Prefixes", "Paths", "Pending", "Groups"],
        numeric: [1, 2, 3, 4],
        rows: status.families.map((/** @type {any} */ f) => [f.family, count(f.prefixes), count(f.paths), count(f.pending), count(f.update_groups)]),
      }),
    ),
    status.ranges.length
      ? card(
          "Ranges",
          table({
            label: "Ranges",
            columns: ["Range", "Prefix", "Peers", "Limit"],
            numeric: [2, 3],
            rows: status.ranges.map((/** @type {any} */ r) => [r.name, r.prefix, count(r.peers), count(r.limit)]),
          }),
        )
      : null,
    card(
      "Kernel",
      fib
        ? facts([
            ["Routes", badge(fib.is_synced ? "good" : "warn", fib.is_synced ? "as wanted" : "being written")],
            ["Wanted", count(fib.wanted)],
            ["Installed", count(fib.installed)],
            ["Pending", count(fib.pending)],
            ["Failed", fib.failed ? badge("bad", count(fib.failed)) : null],
            ["Conflicts", fib.conflicts ? badge("bad", count(fib.conflicts)) : null],
            ["Stale", fib.stale ? count(fib.stale) : null],
            ["Repaired", count(fib.repairs)],
          ])
        : h("p", { class: "muted" }, "This daemon does not write routes into the kernel."),
    ),
    datastore
      ? card(
          "Datastore",
          facts([
            ["State", badge(datastore.is_connected ? "good" : "bad", datastore.is_connected ? "connected" : "not connected")],
            ["Since", `${clock(datastore.since)}, ${duration(age(datastore.since, store.now()))}`],
            ["Kind", datastore.kind],
            ["Source", datastore.source],
            ["Revision", `${datastore.applied_revision ?? ""}`],
            ["Behind by", datastore.lag_revisions ? counted(datastore.lag_revisions, "revision") : null],
            ["Last error", datastore.last_error],
          ]),
        )
      : null,
    status.removal_holds.length
      ? card(
          "Held removals",
          status.removal_holds.map((/** @type {any} */ held) =>
            h("p", {}, `${counted(held.objects, "object")} of ${held.source}, until ${clock(held.until)}: pybgpctl calico held lists them.`),
          ),
        )
      : null,
  );
}
