// Pieces that several views have: headings, empty states, errors, tables of values.
import { h } from "./dom.js";
import { icon } from "./marks.js";

/** @typedef {import("./dom.js").Child} Child */

/**
 * @param {string} title
 * @param {...Child} beside
 */
export const heading = (title, ...beside) =>
  h("header", { class: "heading" }, h("h1", { tabindex: -1 }, title), h("div", { class: "beside" }, beside));

/**
 * @param {string} title
 * @param {...Child} children
 */
export const card = (title, ...children) =>
  h("section", { class: "card", "aria-label": title }, h("h2", {}, title), children);

/**
 * Say that there is nothing, and what to do.
 * @param {string} title
 * @param {Child} advice
 * @param {...Child} actions
 */
export const empty = (title, advice, ...actions) =>
  h("div", { class: "empty" }, h("strong", {}, title), h("p", {}, advice), actions);

/** @param {string} what */
export const loading = (what) => h("div", { class: "empty", role: "status" }, h("p", {}, `Loading ${what} …`));

/**
 * @param {[string, Child][]} pairs Those without a value are left out.
 */
export const facts = (pairs) =>
  h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );

/**
 * @param {{columns: string[], rows: Child[][], label: string, numeric?: number[]}} options
 */
export const table = ({ columns, rows, label, numeric = [] }) =>
  h(
    "div",
    { class: "scroller", tabindex: 0, role: "region", "aria-label": label },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, columns.map((text, at) => h("th", { scope: "col", class: numeric.includes(at) ? "number" : null }, text)))),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h("tr", {}, row.map((cell, at) => h("td", { class: numeric.includes(at) ? "number" : null }, cell))),
        ),
      ),
    ),
  );

/**
 * @param {{label: string, placeholder: string, value: string, onSearch: (text: string) => void, hint?: string}} options
 */
export function searchField({ label, placeholder, value, onSearch, hint }) {
  return h(
    "label",
    { class: "search" },
    icon("search"),
    h("span", { class: "unseen" }, label),
    h("input", {
      id: "search",
      type: "search",
      placeholder,
      value,
      autocomplete: "off",
      spellcheck: "false",
      "aria-describedby": hint ?? null,
      oninput: (/** @type {Event} */ event) => onSearch(/** @type {HTMLInputElement} */ (event.target).value),
    }),
  );
}

/**
 * @param {string} kind `good`, `bad`, `warn`, `plain`.
 * @param {Child} text
 */
export const badge = (kind, text) => h("span", { class: `badge ${kind}`, title: typeof text === "string" ? text : null }, text);

/**
 * @param {string} prefix
 * @param {Child} [text]
 */
export const prefixLink = (prefix, text = prefix) => h("a", { href: routeLink(prefix) }, text);

/** @param {string} prefix */
export const routeLink = (prefix) => `#/route/${encodeURIComponent(prefix)}`;

/** @param {string} name */
export const peerLink = (name) => `#/peers/${encodeURIComponent(name)}`;

/** @param {string} text */
export const routesLink = (text) => `#/routes?q=${encodeURIComponent(text)}`;

/**
 * @param {any} path Of a change of a route; null where there was none.
 * @returns {string}
 */
const sideOf = (path) =>
  path
    ? [path.peer, path.as_path && `AS path ${path.as_path}`, path.next_hop && `next hop ${path.next_hop}`].filter(Boolean).join(", ")
    : "no path";

/** @param {any} row A change of a route: from which path to which. */
export const changeOf = (row) => `${sideOf(row.old)} → ${sideOf(row.new)}`;

/**
 * @param {import("./api.js").ApiError} error
 */
export const trouble = (error) =>
  empty(
    error.kind === "gone" ? "The daemon cannot be reached" : "The daemon says no",
    error.message,
    error.expected.length ? h("p", { class: "muted" }, `Expected: ${error.expected.join(", ")}`) : null,
  );
