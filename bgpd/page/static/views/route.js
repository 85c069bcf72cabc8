// One prefix: each path and why it won or lost, what was filtered, who receives it, the kernel, its history.
import { ApiError, getObject, getRows } from "../api.js";
import { h, render } from "../dom.js";
import { clock, count, counted, duration } from "../format.js";
import { badge, card, changeOf, empty, facts, heading, loading, peerLink, prefixLink, searchField, table, trouble } from "../parts.js";

/** @typedef {import("../main.js").Page} Page */

const EVERY = 5000; // milliseconds
const PEERS_SHOWN = 12;
const HISTORY_SHOWN = 100;

/** @type {[string, string][]} Names of attributes, in the order of the decision. */
const ATTRIBUTES = [
  ["local_pref", "LOCAL_PREF"],
  ["aigp", "AIGP"],
  ["as_path", "AS path"],
  ["origin", "Origin"],
  ["med", "MED"],
  ["next_hop", "Next hop"],
  ["communities", "Communities"],
  ["large_communities", "Large communities"],
  ["ext_communities", "Extended communities"],
  ["ipv6_ext_communities", "IPv6 extended communities"],
  ["originator_id", "Originator ID"],
  ["cluster_list", "Cluster list"],
  ["aggregator", "Aggregator"],
  ["atomic_aggregate", "Atomic aggregate"],
  ["otc", "OTC"],
  ["unknown", "Unknown"],
];

/**
 * @param {any} value
 * @returns {string}
 */
function plain(value) {
  if (value === undefined || value === null) return "";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map((each) => (typeof each === "object" ? JSON.stringify(each) : String(each))).join(" ");
  return String(value);
}

/** @param {Record<string, any>} attributes */
const attributeFacts = (attributes) =>
  facts(ATTRIBUTES.map(([name, title]) => [title, name === "as_path" && attributes.as_path === "" ? "empty: our own AS" : plain(attributes[name])]));

/**
 * @param {Page} page
 * @returns {() => void}
 */
export function routeView({ root, store, argument: prefix, go }) {
  /** @type {any} */
  let route = null;
  /** @type {any[] | null} */
  let history = null;
  /** @type {ApiError | null} */
  let error = null;
  /** @type {ApiError | null} */
  let historyError = null;
  let timer = 0;
  const abort = new AbortController();

  const load = async () => {
    clearTimeout(timer);
    try {
      route = await getObject("route", { prefix }, abort.signal);
      error = null;
    } catch (failure) {
      if (abort.signal.aborted) return;
      if (!(failure instanceof ApiError)) throw failure;
      error = failure;
      if (failure.kind === "answer") route = null;
      store.failed(failure);
    }
    draw();
    await loadHistory();
    if (abort.signal.aborted) return;
    timer = setTimeout(() => void load(), EVERY);
  };

  const loadHistory = async () => {
    try {
      history = await getRows("history", { prefix: route?.prefix ?? prefix }, abort.signal);
      historyError = null;
    } catch (failure) {
      if (abort.signal.aborted) return;
      if (!(failure instanceof ApiError)) throw failure;
      historyError = failure;
      store.failed(failure);
    }
    draw();
  };

  const draw = () => {
    const tools = [
      h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/routes" }, "Routes"), " / ", prefix),
      h(
        "form",
        {
          class: "tools",
          onsubmit: (/** @type {Event} */ event) => {
            event.preventDefault();
            const input = root.querySelector("input");
            if (input?.value.trim()) go(`#/route/${encodeURIComponent(input.value.trim())}`);
          },
        },
        searchField({ label: "Explain another prefix", placeholder: "Explain another prefix or address", value: "", onSearch: () => undefined }),
        h("button", { type: "submit" }, "Explain"),
      ),
    ];
    if (route) render(root, tools, whole(route, prefix), historyOf());
    else if (error) render(root, tools, heading(prefix), missing(error), historyOf());
    else render(root, tools, heading(prefix), loading("the route"));
  };

  const historyOf = () => {
    if (historyError && !history) return card("History", h("p", { class: "muted" }, historyError.message));
    if (!history) return null;
    if (!history.length) {
      return card("History", h("p", { class: "muted" }, "No change of this prefix is in the journal: its path is older than what is kept."));
    }
    return card(
      "History",
      h("ol", { class: "history", "aria-label": "Changes, newest first" }, history.slice(-HISTORY_SHOWN).reverse().map(historyLine)),
    );
  };

  draw();
  void load();
  const end = store.on("events", () => {
    const last = /** @type {any} */ (store.events.at(-1));
    if (last?.prefix && last.prefix === route?.prefix) {
      clearTimeout(timer);
      timer = setTimeout(() => void load(), 100);
    }
  });
  return () => {
    abort.abort();
    clearTimeout(timer);
    end();
  };
}

/** @param {ApiError} error */
function missing(error) {
  if (error.kind !== "answer") return trouble(error);
  return empty("There is no such route", error.message, error.expected.map((each) => [prefixLink(each, `Explain ${each}`), " "]));
}

/**
 * @param {any} route
 * @param {string} prefix As asked for.
 */
function whole(route, prefix) {
  return [
    heading(
      route.prefix,
      route.best ? badge("good", `best: from ${route.best}`) : badge("bad", "no usable path"),
      prefix === route.prefix ? null : badge("plain", `the most specific route for ${prefix}`),
    ),
    h("p", { class: "verdict" }, verdict(route)),
    h("section", { "aria-label": "Paths" }, h("h2", {}, counted(route.paths.length, "path")), h("div", { class: "paths" }, route.paths.map(path))),
    route.filtered.length ? card("Filtered", filtered(route)) : null,
    route.more_specific_filtered.length ? card("More specific prefixes that were filtered", moreSpecific(route)) : null,
    h(
      "div",
      { class: "cards" },
      card("Advertised to", route.advertised.length ? route.advertised.map(advertised) : h("p", { class: "muted" }, "No peer receives it.")),
      route.not_advertised.length ? card("Not advertised to", route.not_advertised.map(notAdvertised)) : null,
      card("Kernel", kernel(route)),
    ),
  ];
}

/** @param {any} route */
function verdict(route) {
  const { paths } = route;
  if (!paths.length) return "Every path of this prefix was filtered.";
  if (!route.best) return "No path can be used: no next hop is reachable.";
  if (paths.length === 1) return `The path from ${route.best} is the only one.`;
  const reasons = [...new Set(paths.filter((/** @type {any} */ p) => !p.is_best).map((/** @type {any} */ p) => p.reason))];
  const also = route.multipath.length > 1 ? ` ${route.multipath.join(", ")} are used together.` : "";
  return `The path from ${route.best} is selected; the others lost by: ${reasons.join("; ")}.${also}`;
}

/** @param {any} row */
function path(row) {
  const hop = row.next_hop;
  const before = row.pre_policy_attributes;
  const ways = hop?.hops?.map((/** @type {any} */ way) => [way.gateway && `via ${way.gateway}`, way.interface && `on ${way.interface}`].filter(Boolean).join(" ")) ?? [];
  return h(
    "article",
    { class: `path ${row.is_best ? "best" : ""}`, "aria-label": `Path from ${row.peer}` },
    h(
      "header",
      {},
      h("h3", {}, row.source === "local" || row.source === "kernel" ? row.peer : h("a", { href: peerLink(row.peer) }, row.peer)),
      row.is_best ? badge("good", "best") : badge(row.is_reachable ? "plain" : "bad", row.reason),
      row.is_multipath && !row.is_best ? badge("good", "multipath") : null,
      row.is_stale ? badge("warn", "stale") : null,
    ),
    attributeFacts(row.attributes),
    facts([
      [row.changed_is_exact ? "Unchanged for" : "Unchanged at most", row.age === null ? null : `${duration(row.age)}, since ${clock(row.changed)}`],
      ["Source", row.source],
      ["Path identifier", row.path_id || null],
      ["Weight", row.weight || null],
      ["Next hop is", hop?.address ? (hop.is_reachable ? ["reachable", ...ways].join(", ") : "not reachable") : null],
      ["Metric to it", hop?.metric || null],
      ["Resolved through", hop?.resolved_through?.join(", ")],
      ["Resolution loop", hop?.resolution_loop],
    ]),
    before ? h("details", {}, h("summary", {}, "Before import policy"), attributeFacts(before)) : null,
  );
}

/** @param {any} route */
const filtered = (route) =>
  table({
    label: "Filtered paths",
    columns: ["Peer", "Why", "AS path", "Next hop"],
    rows: route.filtered.map((/** @type {any} */ row) => [
      h("a", { href: peerLink(row.peer) }, row.peer),
      row.reason,
      row.attributes.as_path ?? "",
      row.attributes.next_hop ?? "",
    ]),
  });

/** @param {any} route */
const moreSpecific = (route) =>
  table({
    label: "More specific prefixes that were filtered",
    columns: ["Prefix", "Peer", "Why"],
    rows: route.more_specific_filtered.map((/** @type {any} */ row) => [prefixLink(row.prefix), row.peer, row.reason]),
  });

/** @param {any} row */
const members = (row) => {
  const shown = row.peers.slice(0, PEERS_SHOWN).map((/** @type {string} */ name) => [h("a", { href: peerLink(name) }, name), " "]);
  const rest = row.peers.slice(PEERS_SHOWN);
  return [
    h("p", { class: "members" }, shown),
    rest.length ? h("details", {}, h("summary", {}, `${count(rest.length)} more`), h("p", { class: "members" }, rest.map((/** @type {string} */ name) => [name, " "]))) : null,
  ];
};

/** @param {any} row */
const advertised = (row) =>
  h(
    "div",
    { class: "answer" },
    members(row),
    h("details", {}, h("summary", {}, `from ${row.from}, ${row.peer_type}${row.policy ? `, policy ${row.policy}` : ""}`), attributeFacts(row.attributes)),
  );

/** @param {any} row */
const notAdvertised = (row) => h("div", { class: "answer" }, members(row), h("p", {}, `because ${row.reason}`));

/** @param {any} route */
function kernel(route) {
  if (!route.uses_kernel) return h("p", { class: "muted" }, "This daemon does not write routes into the kernel.");
  if (!route.fib) return h("p", { class: "muted" }, "The kernel has no route of this daemon for the prefix.");
  const { fib } = route;
  return facts([
    ["State", badge(fib.state === "installed" ? "good" : fib.state === "failed" || fib.state === "conflict" ? "bad" : "warn", fib.state)],
    ["Kind", fib.kind],
    ["Next hops", fib.hops.map((/** @type {any} */ hop) => [hop.gateway && `via ${hop.gateway}`, hop.interface && `on ${hop.interface}`].filter(Boolean).join(" ")).join(", ")],
    ["Metric", fib.metric],
    ["Error", fib.error],
  ]);
}

/** @param {any} row */
function historyLine(row) {
  const text = row.event === "journal-began" ? "nothing is known of what was before" : changeOf(row);
  return h("li", {}, h("time", { datetime: row.time, title: row.time }, clock(row.time)), " ", h("strong", {}, row.event), " ", text);
}
