// The mark of a state: each has a colour and a shape of its own.
import { svg } from "./dom.js";
import { HEALTH } from "./format.js";

/** @type {Record<import("./format.js").Health, string>} Outlines in a square of 16. */
export const SHAPES = {
  up: "M8 2a6 6 0 1 1 0 12a6 6 0 1 1 0-12z",
  opening: "M8 2l6.5 12h-13z",
  stale: "M8 1l7 7-7 7-7-7z",
  down: "M3.6 1.5 8 5.9l4.4-4.4 2.1 2.1L10.1 8l4.4 4.4-2.1 2.1L8 10.1l-4.4 4.4-2.1-2.1L5.9 8 1.5 3.6z",
  disabled: "M2 2h12v12H2zM5 5v6h6V5z",
};

/**
 * @param {import("./format.js").Health} health
 * @param {boolean} [isNamed] Whether the mark says its state to screen readers.
 * @returns {SVGElement}
 */
export function mark(health, isNamed = false) {
  const named = isNamed ? { role: "img", "aria-label": HEALTH[health] } : { "aria-hidden": "true" };
  return svg(
    "svg",
    { class: `mark ${health}`, viewBox: "0 0 16 16", ...named },
    svg("path", { d: SHAPES[health], "fill-rule": "evenodd" }),
  );
}

/** @type {Record<string, string>} Strokes in a square of 24. */
const ICONS = {
  topology: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM5 3a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM19 3a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM12 19a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM6.5 6.3 9.8 10M17.5 6.3 14.2 10M12 15v4",
  peers: "M4 5h16v5H4zM4 14h16v5H4zM8 7.5h.01M8 16.5h.01M12 7.5h5M12 16.5h5",
  routes: "M4 6h10M4 12h16M4 18h7M17 3l3 3-3 3M14 15l3 3-3 3",
  events: "M3 12h4l3-8 4 16 3-8h4",
  churn: "M4 20V10M10 20V4M16 20v-7M22 20H2",
  status: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v6M12 7.5v.01",
  theme: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.5-1.1 1-1.1 1.8M12 16.8v.01",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
  warning: "M12 3.5 22 20.5H2zM12 10v5M12 17.8v.01",
};

/**
 * @param {string} name
 * @returns {SVGElement}
 */
export function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("path", { d: ICONS[name] }),
  );
}
