// All peers: counts by state, search, sorting.
import { ApiError, getRows } from "../api.js";
import { h, render } from "../dom.js";
import { HEALTH, PEER_TYPES, age, byName, count, counted, duration, healthOf } from "../format.js";
import { mark } from "../marks.js";
import { empty, heading, loading, peerLink, searchField, table } from "../parts.js";
import { VirtualList } from "../virtual_list.js";

/** @typedef {import("../main.js").Page} Page */

const GONE_EVERY = 15_000; // milliseconds
const GONE_SHOWN = 50;

/** @type {Record<string, {title: string, key: (peer: any) => string | number}>} */
const ORDERS = {
  state: { title: "State", key: (peer) => Object.keys(HEALTH).indexOf(healthOf(peer)) },
  name: { title: "Name", key: (peer) => peer.name },
  as: { title: "AS", key: (peer) => peer.remote_as ?? 0 },
  accepted: { title: "Routes", key: (peer) => -peer.accepted },
  since: { title: "Last change", key: (peer) => -(Date.parse(peer.since ?? "") || 0) },
};

/**
 * @param {any} peer
 * @returns {string} Why it is not up, or how the last session ended.
 */
export function whyOf(peer) {
  if (peer.drained_by) return `drained by ${peer.drained_by}`;
  if (peer.disabled_by) return `disabled by ${peer.disabled_by}`;
  if (peer.state === "Established") return "";
  return peer.last_attempt || peer.last_reset || "";
}

/**
 * @param {Page} page
 * @returns {() => void}
 */
export function peersView({ root, store, query, setQuery }) {
  let text = query.get("q") ?? "";
  let order = query.get("sort") ?? "state";
  if (!(order in ORDERS)) order = "state";
  /** @type {any[]} */
  let shown = [];
  let at = store.now();
  const list = new VirtualList({
    label: "Peers",
    kind: "peers",
    rowHeight: () => (matchMedia("(max-width: 720px)").matches ? 66 : 40),
    columns: ["State", "Peer", "AS", "Type", "For", "Received", "Accepted", "Filtered", "Why; last reset"],
    link: (index) => peerLink(shown[index].name),
    rowClass: (index) => healthOf(shown[index]),
    cells: (index) => {
      const peer = shown[index];
      const health = healthOf(peer);
      return [
        [mark(health), " ", HEALTH[health]],
        [h("strong", {}, peer.name), peer.name === peer.address ? null : h("span", { class: "muted" }, ` ${peer.address}`)],
        peer.remote_as ?? "any",
        PEER_TYPES[peer.peer_type] ?? peer.peer_type,
        duration(age(peer.since, at)),
        count(peer.received),
        count(peer.accepted),
        count(peer.filtered),
        whyOf(peer) || peer.last_reset || "",
      ];
    },
  });
  const head = h("div");
  const tools = h("div", { class: "tools" });
  const below = h("div");
  /** @type {any[]} Dynamic neighbours that had a session, the latest first. */
  let gone = [];
  let timer = 0;
  const abort = new AbortController();
  root.append(head, tools, list.element, below);

  const loadGone = async () => {
    try {
      gone = await getRows("gone-peers", {}, abort.signal);
      draw();
    } catch (failure) {
      if (abort.signal.aborted) return;
      if (!(failure instanceof ApiError)) throw failure;
      store.failed(failure);
    }
    timer = setTimeout(() => void loadGone(), GONE_EVERY);
  };

  /** @type {WeakMap<object, string>} What a peer says, made once for each row of an answer. */
  const told = new WeakMap();

  /** @param {any} peer */
  const says = (peer) => {
    let text = told.get(peer);
    if (text === undefined) {
      text = sayingOf(peer);
      told.set(peer, text);
    }
    return text;
  };

  /** @param {any} peer */
  const sayingOf = (peer) =>
    [peer.name, peer.address, `as${peer.remote_as}`, PEER_TYPES[peer.peer_type], peer.peer_type, HEALTH[healthOf(peer)], peer.state, peer.range ?? "", peer.import_policy ?? "", peer.remote_node ?? "", peer.drained_by ? "drained" : "", whyOf(peer)]
      .join(" ")
      .toLowerCase();

  const draw = () => {
    at = store.now();
    const peers = store.peers;
    render(head, heading("Peers", peers ? counted(peers.length, "peer") : null));
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    shown = !words.length ? [...(peers ?? [])] : (peers ?? []).filter((peer) => {
      const said = says(peer);
      return words.every((word) => said.includes(word));
    });
    const { key } = ORDERS[order];
    shown = shown
      .map((peer) => ({ peer, by: key(peer) }))
      .sort((a, b) => (typeof a.by === "number" && typeof b.by === "number" ? a.by - b.by : byName(String(a.by), String(b.by))) || byName(a.peer.name, b.peer.name))
      .map(({ peer }) => peer);
    render(tools, ...toolsOf(peers));
    list.element.hidden = !shown.length;
    list.update(shown.length);
    render(below, ...belowOf(peers));
  };

  /** @param {any[] | null} peers */
  const toolsOf = (peers) => {
    /** @type {Record<string, number>} */
    const counts = {};
    for (const peer of peers ?? []) counts[healthOf(peer)] = (counts[healthOf(peer)] ?? 0) + 1;
    return [
      searchField({ label: "Search peers", placeholder: "Name, address, AS, state, reason", value: text, onSearch: search }),
      h(
        "label",
        { class: "choice" },
        h("span", {}, "Sort by"),
        h(
          "select",
          { onchange: (/** @type {Event} */ event) => sort(/** @type {HTMLSelectElement} */ (event.target).value) },
          Object.entries(ORDERS).map(([name, { title }]) => h("option", { value: name, selected: name === order }, title)),
        ),
      ),
      h(
        "div",
        { class: "chips", role: "group", "aria-label": "Only in state" },
        Object.entries(HEALTH)
          .filter(([health]) => counts[health])
          .map(([health, title]) =>
            h(
              "button",
              {
                type: "button",
                class: "chip",
                "aria-pressed": String(text === title),
                onclick: () => search(text === title ? "" : title),
              },
              mark(/** @type {any} */ (health)),
              `${title} ${count(counts[health])}`,
            ),
          ),
      ),
    ];
  };

  /** @param {any[] | null} peers */
  const belowOf = (peers) => {
    if (!peers) return [store.error ? empty("Nothing is known yet", "The daemon has not answered.") : loading("peers")];
    if (!peers.length) {
      return [empty("There are no peers", "Add one under peers in the configuration, or a range, and reload: pybgpctl reload.")];
    }
    if (!shown.length) {
      return [
        ...goneOf(),
        empty("No peer matches", `None of ${counted(peers.length, "peer")} matches “${text}”.`, h("button", { type: "button", onclick: () => search("") }, "Clear the search")),
      ];
    }
    return goneOf();
  };

  const goneOf = () => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const found = gone.filter((row) => {
      const said = `${row.address} ${row.range} as${row.remote_as ?? ""} ${row.reason} gone`.toLowerCase();
      return words.every((word) => said.includes(word));
    });
    if (!found.length) return [];
    const rows = found.slice(0, GONE_SHOWN).map((row) => [row.address, row.range, row.remote_as ?? "any", `${duration(row.age)} ago`, row.reason]);
    return [
      h(
        "section",
        { class: "card gone", "aria-label": "Gone" },
        h("h2", {}, `${counted(found.length, "dynamic peer")} gone`),
        table({ label: "Dynamic peers that are gone, the latest first", columns: ["Address", "Range", "AS", "Gone", "Why"], rows }),
        found.length > GONE_SHOWN ? h("p", { class: "muted" }, `and ${count(found.length - GONE_SHOWN)} more: pybgpctl show peers --gone`) : null,
      ),
    ];
  };

  /** @param {string} value */
  const search = (value) => {
    text = value;
    setQuery({ q: value, sort: order === "state" ? "" : order });
    list.toTop();
    draw();
  };

  /** @param {string} value */
  const sort = (value) => {
    order = value;
    setQuery({ q: text, sort: order === "state" ? "" : order });
    draw();
  };

  draw();
  void loadGone();
  const ends = [store.follow("peers", draw), store.on("connection", draw)];
  return () => {
    abort.abort();
    clearTimeout(timer);
    list.close();
    for (const end of ends) end();
  };
}
