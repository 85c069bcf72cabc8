// The speakers around this one, drawn: each state has a colour and a shape.
import { h, render, svg } from "../dom.js";
import { HEALTH, count, counted, healthOf } from "../format.js";
import { SHAPES, mark } from "../marks.js";
import { empty, heading, loading, peerLink, routesLink } from "../parts.js";
import { layOut, markPlace } from "../topology_layout.js";

/** @typedef {import("../main.js").Page} Page */
/** @typedef {import("../topology_layout.js").Place} Place */
/** @typedef {import("../topology_layout.js").Band} Band */
/** @typedef {import("../topology_layout.js").Cluster} Cluster */
/** @typedef {import("../topology_layout.js").Speaker} Speaker */
/** @typedef {import("../format.js").Health} Health */

const DOWN_LISTED = 50;

/**
 * @param {Page} page
 * @returns {() => void}
 */
export function topologyView({ root, store, go }) {
  let active = ""; // name of the speaker that the Tab key stops at
  let width = 0;
  /** @type {import("../topology_layout.js").Layout | null} */
  let layout = null;

  const draw = () => {
    const speakers = store.topology;
    if (!speakers) {
      render(root, heading("Topology"), loading("the topology"));
      return;
    }
    const peers = speakers.filter((speaker) => speaker.node_type === "peer");
    layout = layOut(speakers, width);
    render(
      root,
      heading("Topology", peers.length ? summary(peers) : null),
      legend(speakers),
      peers.length ? null : empty("There are no peers yet", "Add one under peers in the configuration, or a range, and reload: pybgpctl reload."),
      layout
        ? svg(
            "svg",
            {
              class: "topology",
              viewBox: `0 0 ${layout.width} ${layout.height}`,
              width: layout.width,
              height: layout.height,
              role: "group",
              "aria-label": "Speakers. Arrow keys move between them, Enter opens one.",
              onkeydown: key,
            },
            svg("g", { class: "links", "aria-hidden": "true" }, links(layout)),
            layout.bands.map(band),
            ownNode(layout.own),
          )
        : null,
      downList(peers),
    );
  };

  /** @param {Band} each */
  const band = (each) =>
    svg(
      "g",
      { id: `band-${each.id}` },
      svg("text", { class: "band-title", x: width / 2, y: each.y + 14, "text-anchor": "middle" }, `${each.title} · ${count(each.count)}`),
      each.places.map((place) => node(place)),
      each.clusters.map((cluster) => clusterNode(cluster)),
    );

  /** @param {Place} place */
  const node = (place) => {
    const { speaker } = place;
    const health = stateOf(speaker);
    const isActive = active ? active === speaker.name : place === firstPlace();
    const room = Math.floor((place.width - 38) / 7.2);
    return svg(
      "a",
      {
        "data-key": speaker.name,
        class: `node ${health}`,
        href: linkOf(speaker),
        tabindex: isActive ? 0 : -1,
        "data-name": speaker.name,
        transform: `translate(${place.x} ${place.y})`,
        "aria-label": told(speaker),
        onfocus: () => note(speaker.name),
      },
      svg("title", {}, told(speaker)),
      svg("rect", { class: "box", width: place.width, height: place.height, rx: 8 }),
      shape(health, 10, (place.height - 16) / 2, 16),
      svg("text", { class: "name", x: 34, y: 19 }, cut(speaker.name, room)),
      svg("text", { class: "detail", x: 34, y: 35 }, cut(detail(speaker), Math.floor((place.width - 40) / 6.1))),
    );
  };

  /** @param {Place} place */
  const ownNode = (place) => {
    const { speaker } = place;
    const middle = place.width / 2;
    return svg(
      "a",
      { class: "node own", href: "#/status", tabindex: -1, transform: `translate(${place.x} ${place.y})`, "data-name": speaker.name, "aria-label": `This speaker, ${speaker.name}, ${detail(speaker)}` },
      svg("rect", { class: "box", width: place.width, height: place.height, rx: 12 }),
      svg("text", { class: "name", x: middle, y: 26, "text-anchor": "middle" }, cut(speaker.name, 28)),
      svg("text", { class: "detail", x: middle, y: 44, "text-anchor": "middle" }, cut(`${speaker.is_reflector ? "route reflector, " : ""}${detail(speaker)}`, 36)),
    );
  };

  /** @param {Cluster} cluster */
  const clusterNode = (cluster) => {
    const first = cluster.speakers[0];
    const counts = tally(cluster.speakers);
    const text = `${cluster.title}: ${counted(cluster.speakers.length, "speaker")}, ${said(counts)}`;
    const query = first.node_type === "originator" ? "" : cluster.title.replace(/(\.0)*\/\d+$/, ".").replace(/^all$/, "");
    /** @type {Map<Health, string[]>} */
    const marks = new Map();
    cluster.speakers.forEach((speaker, index) => {
      const { x, y, size } = markPlace(cluster, index);
      const health = stateOf(speaker);
      const pieces = marks.get(health) ?? [];
      pieces.push(SMALL[health](x + 1, y + 1, size - 2));
      marks.set(health, pieces);
    });
    const name = `${cluster.title} of ${first.peer_type}`;
    const isActive = active === name || (!active && layout?.bands[0]?.clusters[0] === cluster && !layout.bands[0].places.length);
    return svg(
      "a",
      { "data-key": cluster.title, class: "node cluster", href: query ? `#/peers?q=${encodeURIComponent(query.trim())}` : "#/peers", tabindex: isActive ? 0 : -1, "data-name": name, "aria-label": text, onfocus: () => note(name) },
      svg("title", {}, text),
      svg("rect", { class: "box", x: cluster.x, y: cluster.y, width: cluster.width, height: cluster.height, rx: 8 }),
      svg("text", { class: "name", x: cluster.x + 12, y: cluster.y + 17 }, cut(cluster.title, Math.floor(cluster.width / 7.6))),
      svg("text", { class: "detail", x: cluster.x + 12, y: cluster.y + 32 }, cut(said(counts), Math.floor(cluster.width / 6.2))),
      [...marks].map(([health, pieces]) => svg("path", { class: `small ${health}`, d: pieces.join("") })),
    );
  };

  const firstPlace = () => layout?.bands.flatMap((each) => each.places)[0];

  /** @param {string} name */
  const note = (name) => {
    if (active === name) return;
    active = name;
    for (const element of root.querySelectorAll("[data-name]")) {
      element.setAttribute("tabindex", element.getAttribute("data-name") === name ? "0" : "-1");
    }
  };

  /** @param {KeyboardEvent} event */
  const key = (event) => {
    /** @type {Record<string, [number, number]>} */
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const from = document.activeElement;
    if (!(event.key in ways) || !from || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const nearest = neighbour(from, ways[event.key]);
    if (!nearest) return;
    note(nearest.getAttribute("data-name") ?? "");
    nearest.setAttribute("tabindex", "0");
    /** @type {SVGElement} */ (nearest).focus();
  };

  /**
   * @param {Element} from
   * @param {[number, number]} way
   * @returns {Element | null} The nearest speaker in a direction.
   */
  const neighbour = (from, [dx, dy]) => {
    const here = from.getBoundingClientRect();
    let best = null;
    let least = Infinity;
    for (const element of root.querySelectorAll("[data-name]")) {
      if (element === from) continue;
      const there = element.getBoundingClientRect();
      const x = there.x + there.width / 2 - here.x - here.width / 2;
      const y = there.y + there.height / 2 - here.y - here.height / 2;
      const along = x * dx + y * dy;
      const aside = Math.abs(x * dy) + Math.abs(y * dx);
      if (along < 4) continue;
      const cost = along + aside * 1.2;
      if (cost < least) [least, best] = [cost, element];
    }
    return best;
  };

  const measure = () => {
    const now = Math.max(300, Math.floor(root.clientWidth));
    if (now === width) return;
    width = now;
    draw();
  };
  const resize = new ResizeObserver(measure);
  resize.observe(root);
  measure();
  void go;
  const ends = [store.follow("topology", draw)];
  return () => {
    resize.disconnect();
    for (const end of ends) end();
  };
}

/** @type {Record<Health, (x: number, y: number, size: number) => string>} Marks of a cluster's speakers. */
const SMALL = {
  up: (x, y, s) => `M${x + s / 2} ${y}a${s / 2} ${s / 2} 0 1 1 0 ${s}a${s / 2} ${s / 2} 0 1 1 0 ${-s}z`,
  opening: (x, y, s) => `M${x + s / 2} ${y}l${s / 2} ${s}h${-s}z`,
  stale: (x, y, s) => `M${x + s / 2} ${y}l${s / 2} ${s / 2}l${-s / 2} ${s / 2}l${-s / 2} ${-s / 2}z`,
  down: (x, y, s) => `M${x + 2} ${y}l${s / 2 - 2} ${s / 2 - 2} ${s / 2 - 2} ${2 - s / 2} 2 2-${s / 2 - 2} ${s / 2 - 2} ${s / 2 - 2} ${s / 2 - 2}-2 2-${s / 2 - 2}-${s / 2 - 2}-${s / 2 - 2} ${s / 2 - 2}-2-2 ${s / 2 - 2}-${s / 2 - 2}-${s / 2 - 2}-${s / 2 - 2}z`,
  disabled: (x, y, s) => `M${x} ${y}h${s}v${s}h${-s}zM${x + 2} ${y + 2}v${s - 4}h${s - 4}v${4 - s}z`,
};

/**
 * @param {Speaker} speaker
 * @returns {Health} An originator is there as long as its routes are.
 */
const stateOf = (speaker) => (speaker.node_type === "originator" ? "up" : healthOf(speaker));

/** @param {Speaker} speaker */
function linkOf(speaker) {
  if (speaker.node_type === "originator") return routesLink(speaker.name);
  return peerLink(speaker.name);
}

/** @param {Speaker} speaker */
const detail = (speaker) =>
  speaker.peer_type === "ebgp" || speaker.node_type === "speaker"
    ? `AS ${speaker.as ?? "any"} · ${counted(speaker.accepted, "route")}`
    : counted(speaker.accepted, "route");

/** @param {Speaker} speaker */
function told(speaker) {
  const state = speaker.node_type === "originator" ? `behind ${speaker.reflectors.join(", ")}` : HEALTH[healthOf(speaker)];
  return [speaker.name, state, speaker.address === speaker.name ? "" : speaker.address, detail(speaker), speaker.description].filter(Boolean).join(", ");
}

/**
 * @param {string} text
 * @param {number} room Characters.
 */
const cut = (text, room) => (text.length > room ? `${text.slice(0, Math.max(1, room - 1))}…` : text);

/**
 * @param {Health} health
 * @param {number} x
 * @param {number} y
 * @param {number} size
 */
const shape = (health, x, y, size) =>
  svg("path", { class: `mark ${health}`, d: SHAPES[health], "fill-rule": "evenodd", transform: `translate(${x} ${y}) scale(${size / 16})` });

/** @param {Speaker[]} speakers */
function tally(speakers) {
  /** @type {Map<Health, number>} */
  const counts = new Map();
  for (const speaker of speakers) counts.set(stateOf(speaker), (counts.get(stateOf(speaker)) ?? 0) + 1);
  return counts;
}

/** @param {Map<Health, number>} counts */
const said = (counts) =>
  /** @type {Health[]} */ (Object.keys(HEALTH))
    .filter((health) => counts.get(health))
    .map((health) => `${count(counts.get(health))} ${HEALTH[health]}`)
    .join(", ");

/** @param {Speaker[]} peers */
const summary = (peers) => `${counted(peers.length, "peer")}: ${said(tally(peers))}`;

/** @param {Speaker[]} speakers */
function legend(speakers) {
  const counts = tally(speakers.filter((speaker) => speaker.node_type === "peer"));
  return h(
    "ul",
    { class: "legend", "aria-label": "States" },
    /** @type {Health[]} */ (Object.keys(HEALTH)).map((health) => h("li", {}, mark(health), ` ${HEALTH[health]} ${count(counts.get(health) ?? 0)}`)),
  );
}

/**
 * @param {import("../topology_layout.js").Layout} layout
 */
function links(layout) {
  const { own, bands } = layout;
  const found = [];
  const reflectors = new Map(bands.flatMap((band) => band.places).filter((place) => place.speaker.is_reflector).map((place) => [place.speaker.name, place]));
  for (const band of bands) {
    for (const place of band.places) {
      if (place.speaker.node_type === "originator") {
        for (const name of place.speaker.reflectors) {
          const from = reflectors.get(name);
          if (from) found.push(link(from, place, "learned"));
        }
      } else {
        found.push(link(own, place, healthOf(place.speaker)));
      }
    }
    for (const cluster of band.clusters) found.push(link(own, cluster, "up"));
  }
  return found;
}

/**
 * @param {{x: number, y: number, width: number, height: number}} from
 * @param {{x: number, y: number, width: number, height: number}} to
 * @param {string} kind
 */
function link(from, to, kind) {
  const isBelow = to.y > from.y;
  const x1 = from.x + from.width / 2;
  const y1 = isBelow ? from.y + from.height : from.y;
  const x2 = to.x + to.width / 2;
  const y2 = isBelow ? to.y : to.y + to.height;
  const bend = (y2 - y1) * 0.5;
  return svg("path", { class: `link ${kind}`, d: `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}` });
}

/** @param {Speaker[]} peers */
function downList(peers) {
  const down = peers.filter((peer) => ["down", "stale", "opening"].includes(healthOf(peer)));
  if (!down.length || peers.length <= 20) return null;
  return h(
    "section",
    { class: "card", "aria-label": "Peers that are not up" },
    h("h2", {}, `${counted(down.length, "peer")} not up`),
    h("ul", { class: "downs" }, down.slice(0, DOWN_LISTED).map((peer) => h("li", {}, mark(healthOf(peer), true), " ", h("a", { href: peerLink(peer.name) }, peer.name)))),
    down.length > DOWN_LISTED ? h("p", {}, h("a", { href: "#/peers?q=down" }, `and ${count(down.length - DOWN_LISTED)} more`)) : null,
  );
}
