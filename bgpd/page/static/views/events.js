// What happens, as it happens; the newest first.
import { h, render } from "../dom.js";
import { clock, count, counted } from "../format.js";
import { changeOf, empty, heading, peerLink, prefixLink, searchField } from "../parts.js";

/** @typedef {import("../main.js").Page} Page */
/** @typedef {import("../stream.js").DaemonEvent} DaemonEvent */

const SHOWN = 200;
const PACE = 200; // milliseconds between two drawings: events come in bursts
const KINDS = ["session", "route", "policy", "kernel", "datastore", "configuration"];
const HEADS = new Set(["id", "time", "kind", "event", "name", "message", "peer", "prefix"]);

/**
 * @param {unknown} value
 * @returns {string}
 */
function said(value) {
  if (Array.isArray(value)) return value.map(said).join(", ");
  if (value && typeof value === "object") {
    return Object.entries(value)
      .filter(([, each]) => each !== null && each !== "")
      .map(([name, each]) => `${name} ${said(each)}`)
      .join(", ");
  }
  return String(value);
}

/**
 * @param {DaemonEvent} event
 * @returns {string}
 */
function textOf(event) {
  const fields = /** @type {Record<string, any>} */ (event);
  if (fields.message) return fields.message;
  if ("old" in fields && "new" in fields) return changeOf(fields);
  return Object.entries(fields)
    .filter(([name, value]) => !HEADS.has(name) && value !== null && value !== "")
    .map(([name, value]) => `${name.replaceAll("_", " ")}: ${said(value)}`)
    .join("; ");
}

/** @param {DaemonEvent} event */
export function eventLine(event) {
  const { peer, prefix } = /** @type {any} */ (event);
  return h(
    "li",
    { class: `event ${event.kind}`, "data-key": event.id },
    h("time", { datetime: event.time, title: event.time }, clock(event.time)),
    h("span", { class: "kind" }, event.kind),
    h(
      "span",
      { class: "what" },
      h("strong", {}, event.event),
      prefix ? [" ", prefixLink(prefix)] : null,
      peer ? [" ", h("a", { href: peerLink(peer) }, peer)] : null,
      " ",
      h("span", { class: "muted" }, textOf(event)),
    ),
  );
}

/**
 * @param {Page} page
 * @returns {() => void}
 */
export function eventsView({ root, store, query, setQuery }) {
  let text = query.get("q") ?? "";
  let kind = query.get("kind") ?? "";
  let heldAt = -1; // the list stands still while one reads: number of the newest event shown
  let timer = 0;
  let drawnAt = 0;
  const list = h("ol", { class: "events", "aria-label": "Events, newest first", "data-own": true, id: "events" });

  const draw = () => {
    clearTimeout(timer);
    timer = 0;
    drawnAt = performance.now();
    const all = heldAt < 0 ? store.events : store.events.filter((event) => event.id <= heldAt);
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    /** @type {DaemonEvent[]} */
    const shown = [];
    for (let at = all.length - 1; at >= 0 && shown.length < SHOWN; at -= 1) {
      const event = all[at];
      if (kind && event.kind !== kind) continue;
      if (words.length) {
        const said = JSON.stringify(event).toLowerCase();
        if (!words.every((word) => said.includes(word))) continue;
      }
      shown.push(event);
    }
    render(
      root,
      heading("Live changes", state()),
      tools(),
      store.missed ? h("p", { class: "notice", role: "status" }, `${counted(store.missed, "event")} came faster than they could be shown, or while the stream was cut: they are not in this list.`) : null,
      shown.length ? null : nothing(),
    );
    fill(list, shown);
    if (list.parentElement !== root || list.nextSibling) root.append(list);
    list.hidden = !shown.length;
  };

  const state = () => {
    const stream = store.stream;
    if (stream.state === "open") return heldAt < 0 ? "live" : "held";
    if (stream.state === "off") return "off";
    return stream.state === "connecting" ? "connecting" : `cut since ${clock(stream.cutAt ?? Date.now())}`;
  };

  const tools = () =>
    h(
      "div",
      { class: "tools" },
      searchField({ label: "Search events", placeholder: "Peer, prefix, event, reason", value: text, onSearch: (value) => change(value, kind) }),
      h(
        "div",
        { class: "chips", role: "group", "aria-label": "Only of this kind" },
        KINDS.map((each) =>
          h(
            "button",
            { type: "button", class: "chip", "aria-pressed": String(kind === each), onclick: () => change(text, kind === each ? "" : each) },
            `${each} ${count(store.counts.get(each) ?? 0)}`,
          ),
        ),
      ),
      h(
        "button",
        { type: "button", "aria-pressed": String(heldAt >= 0), onclick: hold },
        heldAt < 0 ? "Hold" : "Go on",
      ),
    );

  const nothing = () => {
    if (text || kind) return empty("No event matches", "Of those that the page has seen, none is like that.", h("button", { type: "button", onclick: () => change("", "") }, "Clear the search"));
    if (store.stream.state === "off") return empty("There are no live changes", `${store.stream.error?.message ?? ""}. The other views are looked at again every few seconds.`);
    if (store.stream.state !== "open") return empty("The stream is not open", store.stream.error?.message ?? "Connecting to the daemon.");
    return empty("Nothing has happened yet", "Events appear here the moment they happen: sessions, routes, policies, the kernel, the datastore, the configuration.");
  };

  /**
   * @param {string} newText
   * @param {string} newKind
   */
  const change = (newText, newKind) => {
    text = newText;
    kind = newKind;
    setQuery({ q: text, kind });
    draw();
  };

  const hold = () => {
    heldAt = heldAt < 0 ? (store.events.at(-1)?.id ?? 0) : -1;
    draw();
  };

  const soon = () => {
    timer ||= setTimeout(draw, Math.max(0, drawnAt + PACE - performance.now()));
  };

  draw();
  const ends = [store.on("events", soon), store.on("connection", soon)];
  return () => {
    clearTimeout(timer);
    for (const end of ends) end();
  };
}

/**
 * Make a list hold some events; a line that stays is not made again.
 * @param {HTMLElement} list Events in order, the newest first.
 * @param {DaemonEvent[]} shown In the same order.
 */
function fill(list, shown) {
  const wanted = new Set(shown.map((event) => String(event.id)));
  for (const line of [...list.children]) {
    if (!wanted.has(line.getAttribute("data-key") ?? "")) line.remove();
  }
  let at = list.firstElementChild;
  for (const event of shown) {
    if (at?.getAttribute("data-key") === String(event.id)) at = at.nextElementSibling;
    else list.insertBefore(eventLine(event), at);
  }
}
