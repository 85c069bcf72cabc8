// Where each speaker of the topology stands. Pure: the same speakers give the same places, whatever
// their states, so the drawing keeps still while sessions come and go.
import { byName } from "./format.js";

/**
 * @typedef {object} Speaker A row of `/api/v1/topology`.
 * @property {"speaker" | "peer" | "originator"} node_type
 * @property {string} name
 * @property {string | null} address
 * @property {string | null} router_id
 * @property {number | null} as
 * @property {string | null} peer_type
 * @property {boolean} is_reflector
 * @property {string | null} range
 * @property {string | null} state
 * @property {boolean} is_enabled
 * @property {boolean} is_stale
 * @property {number} accepted
 * @property {string} description
 * @property {string[]} reflectors
 */
/** @typedef {{speaker: Speaker, x: number, y: number, width: number, height: number}} Place */
/** @typedef {{title: string, speakers: Speaker[], x: number, y: number, width: number, height: number}} Cluster */
/**
 * @typedef {object} Band Speakers of one part, one below the other with other bands.
 * @property {string} id
 * @property {string} title
 * @property {number} count
 * @property {number} y
 * @property {number} height
 * @property {Place[]} places
 * @property {Cluster[]} clusters In place of single speakers, where there are too many.
 */
/** @typedef {{width: number, height: number, own: Place, bands: Band[]}} Layout */

export const SINGLE_MAX = 150; // speakers of a band that are drawn one by one
const GAP = 12;
const BAND_GAP = 44;
const TITLE = 26;
const NODE = { width: 172, height: 44 };
const NARROW_NODE = { width: 128, height: 44 };
const OWN = { width: 220, height: 60 };
const MARK = 10; // a speaker of a cluster
const CLUSTER_WIDTH = 216;
const CLUSTER_TITLE = 40;

/** @type {[string, string, (speaker: Speaker) => boolean][]} */
const PARTS = [
  ["gateways", "eBGP peers and gateways", (s) => s.peer_type === "ebgp"],
  ["reflectors", "Route reflectors", (s) => s.node_type === "peer" && s.is_reflector],
  ["originators", "Behind the reflectors", (s) => s.node_type === "originator"],
  ["mesh", "iBGP peers of the mesh", (s) => s.peer_type === "non-client" && !s.is_reflector],
  ["clients", "Clients of this reflector", (s) => s.peer_type === "client" && !s.is_reflector],
];
const ABOVE = new Set(["gateways"]); // the speaker itself

/**
 * @param {Speaker[]} speakers
 * @param {number} width Pixels.
 * @returns {Layout | null} Null without the speaker itself.
 */
export function layOut(speakers, width) {
  const own = speakers.find((speaker) => speaker.node_type === "speaker");
  if (!own) return null;
  const bands = PARTS.map(([id, title, isOf]) => ({
    id,
    title,
    speakers: speakers.filter((s) => s !== own && isOf(s)).sort((a, b) => byName(a.name, b.name)),
  })).filter((band) => band.speakers.length);
  let y = GAP;
  /** @type {Band[]} */
  const placed = [];
  for (const band of bands.filter((each) => ABOVE.has(each.id))) {
    const made = placeBand(band, width, y);
    placed.push(made);
    y = made.y + made.height + BAND_GAP;
  }
  const ownWidth = Math.min(OWN.width, width - 2 * GAP);
  const ownPlace = { speaker: own, x: (width - ownWidth) / 2, y, width: ownWidth, height: OWN.height };
  y += OWN.height + BAND_GAP;
  for (const band of bands.filter((each) => !ABOVE.has(each.id))) {
    const made = placeBand(band, width, y);
    placed.push(made);
    y = made.y + made.height + BAND_GAP;
  }
  return { width, height: y - BAND_GAP + GAP, own: ownPlace, bands: placed };
}

/**
 * @param {{id: string, title: string, speakers: Speaker[]}} band
 * @param {number} width
 * @param {number} y
 * @returns {Band}
 */
function placeBand(band, width, y) {
  const top = y + TITLE;
  const isSingle = band.speakers.length <= SINGLE_MAX;
  const places = isSingle ? placeSingles(band.speakers, width, top) : [];
  const clusters = isSingle ? [] : placeClusters(band.speakers, width, top);
  const bottom = Math.max(...[...places, ...clusters].map((place) => place.y + place.height));
  return {
    id: band.id,
    title: band.title,
    count: band.speakers.length,
    y,
    height: bottom - y,
    places,
    clusters,
  };
}

/**
 * @param {Speaker[]} speakers
 * @param {number} width
 * @param {number} top
 * @returns {Place[]}
 */
function placeSingles(speakers, width, top) {
  const node = width < 480 ? NARROW_NODE : NODE;
  const columns = Math.max(1, Math.floor((width - GAP) / (node.width + GAP)));
  const used = Math.min(columns, speakers.length);
  const nodeWidth = width < 480 ? (width - GAP * (columns + 1)) / columns : node.width;
  const left = (width - used * (nodeWidth + GAP) + GAP) / 2;
  return speakers.map((speaker, index) => ({
    speaker,
    x: left + (index % used) * (nodeWidth + GAP),
    y: top + Math.floor(index / used) * (node.height + GAP),
    width: nodeWidth,
    height: node.height,
  }));
}

/**
 * Group speakers by range where they have one, else by address block, then by AS.
 * @param {Speaker[]} speakers
 * @returns {[string, Speaker[]][]}
 */
export function clustersOf(speakers) {
  for (const key of KEYS) {
    /** @type {Map<string, Speaker[]>} */
    const found = new Map();
    for (const speaker of speakers) {
      const name = key(speaker);
      const known = found.get(name);
      if (known) known.push(speaker);
      else found.set(name, [speaker]);
    }
    if (found.size > 1 && found.size <= 64) return [...found].sort(([a], [b]) => byName(a, b));
  }
  return [["all", speakers]];
}

/**
 * @param {Speaker} speaker
 * @param {number} octets
 */
function blockOf(speaker, octets) {
  const address = speaker.address ?? speaker.router_id ?? "";
  if (address.includes(":")) return `${address.split(":").slice(0, octets).join(":")}:`;
  return `${[...address.split(".").slice(0, octets), ...Array(4 - octets).fill("0")].join(".")}/${octets * 8}`;
}

/** @type {((speaker: Speaker) => string)[]} From fine to coarse; the first with few enough clusters is taken. */
const KEYS = [
  (speaker) => (speaker.range ? `${speaker.range} ${blockOf(speaker, 3)}` : blockOf(speaker, 3)),
  (speaker) => (speaker.range ? `${speaker.range} ${blockOf(speaker, 2)}` : blockOf(speaker, 2)),
  (speaker) => speaker.range ?? `AS ${speaker.as ?? "?"}`,
];

/**
 * @param {Speaker[]} speakers
 * @param {number} width
 * @param {number} top
 * @returns {Cluster[]}
 */
function placeClusters(speakers, width, top) {
  const columns = Math.max(1, Math.floor((width - GAP) / (CLUSTER_WIDTH + GAP)));
  const clusterWidth = (width - GAP * (columns + 1)) / columns;
  const perLine = Math.max(1, Math.floor((clusterWidth - 2 * GAP) / MARK));
  const heights = Array(columns).fill(top);
  return clustersOf(speakers).map(([title, members]) => {
    const column = heights.indexOf(Math.min(...heights));
    const height = CLUSTER_TITLE + Math.ceil(members.length / perLine) * MARK + GAP;
    const cluster = {
      title,
      speakers: members,
      x: GAP + column * (clusterWidth + GAP),
      y: heights[column],
      width: clusterWidth,
      height,
    };
    heights[column] += height + GAP;
    return cluster;
  });
}

/**
 * @param {Cluster} cluster
 * @param {number} index
 * @returns {{x: number, y: number, size: number}} Where a speaker of a cluster stands.
 */
export function markPlace(cluster, index) {
  const perLine = Math.max(1, Math.floor((cluster.width - 2 * GAP) / MARK));
  return {
    x: cluster.x + GAP + (index % perLine) * MARK,
    y: cluster.y + CLUSTER_TITLE + Math.floor(index / perLine) * MARK,
    size: MARK,
  };
}
