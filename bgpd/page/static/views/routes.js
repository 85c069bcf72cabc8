// All routes, searched as one types. The page holds the daemon's route index: typing asks nobody.
import { ApiError, streamRows } from "../api.js";
import { h, render } from "../dom.js";
import { clock, count, counted, duration } from "../format.js";
import { badge, empty, heading, loading, routeLink, searchField, trouble } from "../parts.js";
import { FLAGS, RouteTable } from "../route_table.js";
import { Search } from "../search.js";
import { parsePrefix } from "../addresses.js";
import { VirtualList } from "../virtual_list.js";

/** @typedef {import("../main.js").Page} Page */

const LIMIT = 300_000; // prefixes held; beyond that the daemon is asked for the part one looks for
const PACE = 250; // milliseconds between two counts of changes, which come in bursts
const FIRST_PACE = 100; // milliseconds between two looks at a table that is still coming
const PATIENCE = 120; // milliseconds after the last key, before the daemon is asked
const HINTS = [
  ["10.0.0.0/8", "a prefix, and all inside it"],
  ["10.0.0.1", "what contains an address"],
  ["as65001", "an AS in the path"],
  ["65000:100", "a community"],
  ["peer:tor-1", "a peer"],
  ["next:10.0.0.1", "a next hop"],
  ["is:best", "or is:filtered, is:stale, is:unreachable"],
];

/**
 * What is held of the routes, for as long as the page is open.
 */
class Held {
  constructor() {
    this.table = new RouteTable();
    this.filtered = new RouteTable();
    /** @type {Date | null} */
    this.at = null;
    this.isComplete = true;
    this.isLoading = false;
    /** @type {number} Number of route events when it was loaded. */
    this.changesThen = 0;
  }
}

const held = new Held();

/**
 * @param {number} flags
 * @param {string} reason
 */
export function stateOf(flags, reason) {
  if (flags & FLAGS.filtered) return badge("bad", `filtered: ${reason}`);
  const stale = flags & FLAGS.stale ? badge("warn", "stale") : null;
  if (flags & FLAGS.best) return [badge("good", "best"), stale];
  if (flags & FLAGS.multipath) return [badge("good", "multipath"), stale];
  return [badge(flags & FLAGS.reachable ? "plain" : "bad", reason), stale];
}

/**
 * @param {ReturnType<RouteTable["ageOf"]>} age
 * @returns {string} Such as `3 min 2 s`, or `≤ 3 min 2 s` where the daemon knows no better.
 */
const ageText = (age) => (age ? `${age.isExact ? "" : "≤ "}${duration(age.seconds)}` : "");

/**
 * @param {Page} page
 * @returns {() => void}
 */
export function routesView({ root, store, query, setQuery }) {
  let text = query.get("q") ?? "";
  let search = new Search(text);
  let table = held.table;
  /** @type {Uint32Array} */
  let found = new Uint32Array(0);
  /** @type {RouteTable | null} What the daemon found, where the page does not hold all. */
  let asked = null;
  /** @type {ApiError | null} */
  let error = null;
  let timer = 0;
  let frame = 0;
  let foundAt = 0; // when the rows were last searched
  const abort = new AbortController();
  let asking = new AbortController();

  const list = new VirtualList({
    label: "Routes",
    kind: "routes",
    rowHeight: () => (matchMedia("(max-width: 720px)").matches ? 62 : 34),
    columns: ["Prefix", "Peer", "Next hop", "AS path", "Pref", "MED", "Communities", "State", "For"],
    link: (index) => routeLink(table.prefixOf(found[index])),
    rowClass: (index) => (table.pathOf(found[index]).flags & FLAGS.best ? "best" : ""),
    cells: (index) => {
      const path = table.pathOf(found[index]);
      const { next_hop, as_path, local_pref, med, communities, large_communities } = path.attributes;
      return [
        table.prefixOf(found[index]),
        path.peer,
        next_hop ?? "",
        as_path ?? "",
        count(local_pref),
        count(med),
        [...(communities ?? []), ...(large_communities ?? [])].join(" "),
        stateOf(path.flags, path.reason),
        ageText(table.ageOf(found[index])),
      ];
    },
  });
  const head = h("div");
  const tools = h("div", { class: "tools" });
  const below = h("div");
  root.append(head, tools, list.element, below);

  const find = () => {
    const start = performance.now();
    const wantsFiltered = /(^|\s)is:filtered(\s|$)/.test(text);
    foundAt = start;
    table = asked ?? (wantsFiltered ? held.filtered : held.table);
    found = table.find(search);
    draw();
    performance.measure("search", { start });
  };

  const draw = () => {
    drawHead();
    render(
      tools,
      searchField({ label: "Search routes", placeholder: "Prefix, address, peer, AS, community, next hop", value: text, onSearch: change, hint: "hints" }),
      h(
        "div",
        { class: "hints", id: "hints" },
        HINTS.map(([example, meaning]) =>
          h("button", { type: "button", class: "hint", title: meaning, onclick: () => change(example, true) }, h("code", {}, example), ` ${meaning}`),
        ),
      ),
    );
    list.element.hidden = !found.length;
    list.update(found.length);
    render(below, ...belowOf());
  };

  const drawHead = () => {
    const changes = store.routeChanges - held.changesThen;
    render(
      head,
      heading(
        "Routes",
        held.at
          ? h("span", { role: "status" }, `${counted(found.length, "path")}${text ? ` of ${count(table.rowCount)}` : ""}`)
          : null,
        held.isLoading ? "loading …" : null,
        held.at && !held.isLoading
          ? h("button", { type: "button", onclick: () => void load() }, changes > 0 ? `${counted(changes, "change")} since ${clock(held.at)}: load again` : `As of ${clock(held.at)}: load again`)
          : null,
      ),
    );
  };

  const belowOf = () => {
    if (error && !held.at) return [trouble(error)];
    if (!held.at && !found.length) return [loading("routes")];
    if (found.length) {
      return held.isComplete || asked
        ? []
        : [h("p", { class: "notice" }, `The page holds the first ${count(LIMIT)} prefixes. Type a prefix or an address, and the daemon searches all.`)];
    }
    if (!table.rowCount && !text) {
      return [empty("There are no routes", "No peer has advertised any, and none is originated. See the peers, and their filtered routes."), h("p", { class: "links" }, h("a", { href: "#/peers" }, "Peers"))];
    }
    const wanted = parsePrefix(text.trim());
    return [
      empty(
        "No route matches",
        wanted ? "The explanation says which routes are near, and whether it was filtered." : "All words of the search must match.",
        wanted ? h("a", { class: "button", href: routeLink(text.trim()) }, `Explain ${text.trim()}`) : null,
        " ",
        h("button", { type: "button", onclick: () => change("", true) }, "Clear the search"),
      ),
    ];
  };

  /**
   * @param {string} value
   * @param {boolean} [isWritten] Into the field, which did not have it yet.
   */
  const change = (value, isWritten = false) => {
    text = value;
    search = new Search(text);
    if (isWritten) {
      const input = tools.querySelector("input");
      if (input) input.value = value;
      input?.focus();
    }
    asked = null;
    list.toTop();
    find();
    setQuery({ q: value });
    clearTimeout(timer);
    asking.abort();
    if (!held.isComplete) timer = setTimeout(() => void ask(), PATIENCE);
  };

  /** Let the daemon search the prefix among the words, where the page does not hold the whole table. */
  const ask = async () => {
    const prefix = text.split(/\s+/).find((word) => parsePrefix(word));
    if (!prefix) return;
    asking = new AbortController();
    const wanted = parsePrefix(prefix);
    const some = new RouteTable();
    try {
      const cover = wanted?.isAddress ? await coverOf(prefix, asking.signal) : prefix;
      for await (const block of streamRows("route-index", { prefix: cover, limit: LIMIT }, asking.signal)) some.add(block);
      asked = some;
      find();
    } catch (failure) {
      if (!asking.signal.aborted && failure instanceof ApiError) store.failed(failure);
    }
  };

  const load = async () => {
    if (held.isLoading) return;
    held.isLoading = true;
    error = null;
    const isFirst = !held.at;
    const fresh = new RouteTable();
    const freshFiltered = new RouteTable();
    if (isFirst) held.table = fresh;
    const changesThen = store.routeChanges;
    draw();
    try {
      for await (const block of streamRows("route-index", { limit: LIMIT }, abort.signal)) {
        fresh.add(block);
        if (isFirst && performance.now() > foundAt + FIRST_PACE) frame ||= requestAnimationFrame(() => ((frame = 0), find()));
      }
      for await (const block of streamRows("route-index", { filtered: true, limit: LIMIT }, abort.signal)) freshFiltered.add(block);
      held.table = fresh;
      held.filtered = freshFiltered;
      held.at = new Date();
      held.isComplete = fresh.prefixes.length < LIMIT;
      held.changesThen = changesThen;
    } catch (failure) {
      if (!(failure instanceof ApiError) && !abort.signal.aborted) throw failure;
      if (failure instanceof ApiError) {
        error = failure;
        store.failed(failure);
      }
    }
    held.isLoading = false;
    if (abort.signal.aborted) return;
    find();
    performance.mark("routes-loaded");
  };

  find();
  void load();
  let pacing = 0;
  const soon = () => {
    pacing ||= setTimeout(() => ((pacing = 0), drawHead()), PACE);
  };
  const ends = [
    store.on("events", soon),
    store.on("connection", () => {
      if (!held.at && !store.error) void load();
    }),
  ];
  return () => {
    abort.abort();
    asking.abort();
    clearTimeout(timer);
    clearTimeout(pacing);
    cancelAnimationFrame(frame);
    list.close();
    held.isLoading = false;
    for (const end of ends) end();
  };
}

/**
 * @param {string} address
 * @param {AbortSignal} signal
 * @returns {Promise<string>} The most specific prefix with the address.
 */
async function coverOf(address, signal) {
  for await (const route of streamRows("route", { prefix: address }, signal)) return route.prefix;
  return address;
}
