// The page: its frame, which view is shown, the keyboard, and what is said when something is wrong.
import { h, render } from "./dom.js";
import { askToken, showHelp } from "./dialogs.js";
import { clock, count } from "./format.js";
import { icon } from "./marks.js";
import { Store } from "./store.js";
import { churnView } from "./views/churn.js";
import { eventsView } from "./views/events.js";
import { peerView } from "./views/peer.js";
import { peersView } from "./views/peers.js";
import { routeView } from "./views/route.js";
import { routesView } from "./views/routes.js";
import { statusView } from "./views/status.js";
import { topologyView } from "./views/topology.js";

/**
 * @typedef {object} Page What a view gets.
 * @property {HTMLElement} root Empty; the view's own.
 * @property {Store} store
 * @property {string} argument What follows the view's name in the address: a peer, a prefix.
 * @property {URLSearchParams} query
 * @property {(values: Record<string, string>) => void} setQuery Changes the address, and nothing else.
 * @property {(address: string) => void} go
 */
/** @typedef {(page: Page) => () => void} View Draws itself; what it returns ends it. */

/** @type {Record<string, {title: string, view: View, key: string, icon: string, within?: string}>} */
const VIEWS = {
  topology: { title: "Topology", view: topologyView, key: "t", icon: "topology" },
  peers: { title: "Peers", view: peersView, key: "p", icon: "peers" },
  routes: { title: "Routes", view: routesView, key: "r", icon: "routes" },
  events: { title: "Live", view: eventsView, key: "l", icon: "events" },
  churn: { title: "Churn", view: churnView, key: "c", icon: "churn" },
  status: { title: "Status", view: statusView, key: "s", icon: "status" },
};
const DETAILS = /** @type {Record<string, {title: string, view: View, within: string}>} */ ({
  peers: { title: "Peer", view: peerView, within: "peers" },
  route: { title: "Route", view: routeView, within: "routes" },
});
const THEMES = ["system", "light", "dark"];

const store = new Store();
const app = /** @type {HTMLElement} */ (document.getElementById("app"));
const aside = h("header", { class: "frame" });
const banner = h("div", { class: "banner", role: "status", "aria-live": "polite" });
const content = h("main", { id: "content", tabindex: -1 });
let current = "topology";
let end = () => {};
let shownAt = "";

/** Draw the view that the address names. */
function show() {
  const address = location.hash.slice(1) || "/topology";
  if (address === shownAt) return;
  const isFirst = !shownAt;
  shownAt = address;
  const [path, query = ""] = address.split("?");
  const [name, ...rest] = path.replace(/^\//, "").split("/");
  const argument = decoded(rest.join("/"));
  const views = argument ? DETAILS : VIEWS;
  const found = Object.hasOwn(views, name) ? views[name] : null;
  if (!found) {
    location.replace("#/topology");
    return;
  }
  end();
  const root = h("div", { class: `view view-${argument ? found.title.toLowerCase() : name}`, "data-own": true });
  content.replaceChildren(root);
  current = found.within ?? name;
  document.title = `${argument || found.title} – pybgpd`;
  end = found.view({ root, store, argument, query: new URLSearchParams(query), setQuery, go });
  drawFrame();
  window.scrollTo(0, 0);
  if (!isFirst) content.querySelector("h1")?.focus({ preventScroll: true });
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {Record<string, string>} values */
function setQuery(values) {
  const query = String(new URLSearchParams(Object.entries(values).filter(([, value]) => value)));
  const [path] = location.hash.split("?");
  const address = `${path || "#/topology"}${query ? `?${query}` : ""}`;
  history.replaceState(null, "", address);
  shownAt = address.slice(1);
}

/** @param {string} address */
function go(address) {
  location.hash = address;
}

function drawFrame() {
  const { status } = store;
  render(
    aside,
    h(
      "a",
      { class: "brand", href: "#/topology", "aria-label": "pybgpd, topology" },
      h("span", { class: "logo", "aria-hidden": "true" }),
      h("span", { class: "who" }, h("strong", {}, status?.node || status?.router_id || "pybgpd"), h("span", { class: "muted" }, status ? `AS ${status.as ?? "?"} · ${status.router_id ?? "starting"}` : " ")),
    ),
    h(
      "nav",
      { class: "tabs", "aria-label": "Views", onkeydown: moveTab },
      Object.entries(VIEWS).map(([name, { title, icon: picture }]) =>
        h(
          "a",
          { href: `#/${name}`, class: "tab", "data-key": name, "aria-current": name === current ? "page" : null, tabindex: name === current ? 0 : -1 },
          icon(picture),
          h("span", {}, title),
          name === "status" && status?.warnings.length ? h("span", { class: "bubble" }, count(status.warnings.length), h("span", { class: "unseen" }, " warnings")) : null,
        ),
      ),
    ),
    h(
      "div",
      { class: "corner" },
      h("span", { class: `pulse ${pulse()[0]}` }, pulse()[1]),
      h("button", { type: "button", class: "plain", onclick: nextTheme, title: "Colours", "aria-label": `Colours: ${theme()}. Change.` }, icon("theme")),
      h("button", { type: "button", class: "plain", onclick: help, title: "Keyboard shortcuts (?)", "aria-label": "Keyboard shortcuts" }, icon("help")),
    ),
  );
}

/** @returns {["live" | "cut" | "off", string]} */
function pulse() {
  if (store.error) return ["cut", "not live"];
  if (store.stream.state === "open") return ["live", "live"];
  return store.stream.state === "off" ? ["off", "every 5 s"] : ["cut", "not live"];
}


/** Say what is wrong with the connection, since when, and when it is tried again. */
function drawBanner() {
  const { stream, error } = store;
  const isRefused = error?.kind === "token" || stream.state === "refused";
  banner.hidden = true;
  if (isRefused) {
    banner.hidden = false;
    render(banner, h("p", {}, h("strong", {}, "The daemon wants a token. "), (error ?? stream.error)?.message ?? ""), h("button", { type: "button", onclick: () => ask() }, "Enter a token"));
  } else if (error || stream.state === "cut") {
    const since = store.failedAt ?? stream.cutAt ?? new Date();
    banner.hidden = false;
    const isForbidden = (error ?? stream.error)?.kind === "forbidden";
    const title = isForbidden ? "The daemon refuses to answer. " : error ? "The daemon cannot be reached. " : "Live changes are cut off. ";
    render(
      banner,
      h("p", {}, h("strong", {}, title), `Since ${clock(since)}: ${(error ?? stream.error)?.message ?? ""}. What is shown was true then; trying again.`),
      h("button", { type: "button", onclick: retry }, "Try now"),
    );
  }
  drawFrame();
}

function retry() {
  store.refresh();
  store.stream.retry();
}

let isAsking = false;
let wasRefused = false;

async function ask() {
  if (isAsking) return;
  isAsking = true;
  const error = store.error ?? store.stream.error;
  const isGiven = await askToken(error?.message ?? "");
  isAsking = false;
  if (!isGiven) return;
  wasRefused = false; // so that a wrong one is asked for again
  retry();
}

function help() {
  showHelp(Object.values(VIEWS).map(({ title, key }) => [`g ${key}`, `go to ${title}`]));
}

/** @returns {string} */
function theme() {
  return document.documentElement.dataset.theme ?? "system";
}

function nextTheme() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("pybgpd-theme", next);
  } catch {
    // Storage is off: the choice lasts as long as the page.
  }
  drawFrame();
}

/** @param {KeyboardEvent} event */
function moveTab(event) {
  const tabs = /** @type {HTMLElement[]} */ ([...aside.querySelectorAll(".tab")]);
  const at = tabs.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  /** @type {Record<string, number>} */
  const targets = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: tabs.length - 1 };
  if (!(event.key in targets) || at < 0) return;
  event.preventDefault();
  tabs[(targets[event.key] + tabs.length) % tabs.length].focus();
}

let isGoing = false; // g was pressed: the next key names a view

/** @param {KeyboardEvent} event */
function shortcut(event) {
  const { target } = event;
  const isTyping = target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && isTyping) {
    target.blur();
    return;
  }
  if (isTyping) return;
  if (isGoing) {
    isGoing = false;
    const found = Object.entries(VIEWS).find(([, { key }]) => key === event.key);
    if (found) {
      event.preventDefault();
      go(`#/${found[0]}`);
    }
  } else if (event.key === "g") {
    isGoing = true;
    setTimeout(() => (isGoing = false), 1500);
  } else if (event.key === "/") {
    const field = document.getElementById("search");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  } else if (event.key === "?") {
    event.preventDefault();
    help();
  }
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  content.focus();
}

app.replaceChildren(aside, h("div", { class: "body" }, banner, content));
document.querySelector(".skip")?.addEventListener("click", skip);
document.addEventListener("keydown", shortcut);
window.addEventListener("hashchange", show);
store.on("connection", () => {
  drawBanner();
  const isRefused = store.error?.kind === "token" || store.stream.state === "refused";
  if (isRefused && !wasRefused) void ask();
  wasRefused = isRefused;
});
store.follow("status", drawFrame);
drawFrame();
banner.hidden = true;
show();
void store.start();
