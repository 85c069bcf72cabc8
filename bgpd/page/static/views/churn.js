// How much changes, over time: bars of changes for routes and for everything else.
import { barChart } from "../chart.js";
import { h, render } from "../dom.js";
import { count, counted } from "../format.js";
import { card, empty, heading, peerLink, prefixLink, table } from "../parts.js";

/** @typedef {import("../main.js").Page} Page */

const BARS = 60;
/** @type {[string, number][]} Title, and seconds of a bar. */
const SPANS = [
  ["1 min", 1],
  ["10 min", 10],
  ["1 h", 60],
];
const TOP = 10;

/**
 * @param {Page} page
 * @returns {() => void}
 */
export function churnView({ root, store, query, setQuery }) {
  let seconds = Number(query.get("bar") ?? 10);
  if (!SPANS.some(([, each]) => each === seconds)) seconds = 10;
  let timer = 0;

  const draw = () => {
    const step = seconds * 1000;
    const last = Math.floor(Date.now() / step) * step;
    const first = last - (BARS - 1) * step;
    const bars = (/** @type {(event: any) => boolean} */ isMeant) => {
      const found = Array.from({ length: BARS }, (_, at) => ({ at: first + at * step, value: 0 }));
      for (const event of store.events) {
        const at = Math.floor((Date.parse(event.time) - first) / step);
        if (at >= 0 && at < BARS && isMeant(event)) found[at].value += Number(Reflect.get(event, "count") ?? 1);
      }
      return found;
    };
    const width = Math.max(300, Math.min(1100, root.clientWidth - 40));
    render(
      root,
      heading("Churn", `changes in ${seconds} s`),
      h(
        "div",
        { class: "tools" },
        h(
          "div",
          { class: "chips", role: "group", "aria-label": "Time shown" },
          SPANS.map(([title, each]) =>
            h("button", { type: "button", class: "chip", "aria-pressed": String(each === seconds), onclick: () => choose(each) }, title),
          ),
        ),
      ),
      store.events.length ? null : empty("Nothing has changed yet", "Changes of routes, sessions and everything else are counted here from the moment they happen."),
      card("Changes of routes", barChart({ bars: bars((event) => event.kind === "route"), width, label: "Changes of routes", seconds })),
      card("Sessions", barChart({ bars: bars((event) => event.kind === "session"), width, label: "Events of sessions", seconds })),
      card(
        "Everything else",
        barChart({ bars: bars((event) => event.kind !== "route" && event.kind !== "session"), width, label: "Events of policies, kernel, datastore, configuration", seconds }),
      ),
      h("div", { class: "cards" }, most("prefix", "Prefixes that change most", prefixLink), most("peer", "Peers with most events", (name) => h("a", { href: peerLink(name) }, name))),
      h("p", { class: "muted" }, `Of the last ${counted(store.events.length, "event")} that the page holds.`),
    );
  };

  /**
   * @param {string} field
   * @param {string} title
   * @param {(value: string) => import("../dom.js").Child} link
   */
  const most = (field, title, link) => {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const event of store.events) {
      const value = Reflect.get(event, field);
      if (typeof value === "string") counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    if (!counts.size) return null;
    const rows = [...counts].sort(([, a], [, b]) => b - a).slice(0, TOP);
    return card(title, table({ label: title, columns: [title.split(" ")[0], "Events"], numeric: [1], rows: rows.map(([value, number]) => [link(value), count(number)]) }));
  };

  /** @param {number} each */
  const choose = (each) => {
    seconds = each;
    setQuery({ bar: each === 10 ? "" : String(each) });
    draw();
  };

  draw();
  timer = setInterval(draw, 1000);
  return () => clearInterval(timer);
}

