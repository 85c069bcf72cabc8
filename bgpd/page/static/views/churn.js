// How much changes, over time: bars of changes for routes and for everything else.
import { ApiError, getRows } from "../api.js";
import { barChart } from "../chart.js";
import { h, render } from "../dom.js";
import { count, counted } from "../format.js";
import { card, empty, heading, loading, peerLink, prefixLink, table, trouble } from "../parts.js";

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

  /** @type {any[]} Steps of time, as the daemon counts them: also what it does not keep. */
  let steps = [];
  /** @type {ApiError | null} */
  let error = null;
  const abort = new AbortController();

  const load = async () => {
    clearTimeout(timer);
    try {
      const found = await getRows("journal/counts", { seconds, limit: BARS }, abort.signal);
      if (found[0]?.seconds !== seconds) return; // another span was chosen meanwhile
      steps = found;
      error = null;
    } catch (failure) {
      if (abort.signal.aborted) return;
      if (!(failure instanceof ApiError)) throw failure;
      error = failure;
      store.failed(failure);
    }
    draw();
    timer = setTimeout(() => void load(), Math.max(1000, seconds * 100));
  };

  const draw = () => {
    const bars = (/** @type {(kind: string) => boolean} */ isMeant) =>
      steps.map((step) => ({
        at: Date.parse(step.time),
        value: Object.entries(step.counts).reduce((sum, [kind, number]) => sum + (isMeant(kind) ? Number(number) : 0), 0),
      }));
    if (!steps.length) {
      render(root, heading("Churn"), error ? trouble(error) : loading("the counts"));
      return;
    }
    const isQuiet = steps.every((step) => !Object.values(step.counts).some(Boolean));
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
      error ? trouble(error) : null,
      isQuiet ? empty("Nothing has changed yet", "Changes of routes, sessions and everything else are counted here from the moment they happen.") : null,
      card("Changes of routes", barChart({ bars: bars((kind) => kind === "route"), width, label: "Changes of routes", seconds })),
      card("Sessions", barChart({ bars: bars((kind) => kind === "session"), width, label: "Events of sessions", seconds })),
      card(
        "Everything else",
        barChart({ bars: bars((kind) => kind !== "route" && kind !== "session"), width, label: "Events of policies, kernel, datastore, configuration", seconds }),
      ),
      h("div", { class: "cards" }, most("prefix", "Prefixes that change most", prefixLink), most("peer", "Peers with most events", (name) => h("a", { href: peerLink(name) }, name))),
      h("p", { class: "muted" }, `The bars count everything that happened; prefixes and peers are those of the last ${counted(store.events.length, "event")} that the page holds.`),
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
    void load();
  };

  draw();
  void load();
  return () => {
    abort.abort();
    clearTimeout(timer);
  };
}

