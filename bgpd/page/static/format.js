// Values as people read them. Pure.

/**
 * @param {number | null | undefined} seconds
 * @returns {string} Such as `3 d 4 h`; empty where there is nothing to say.
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  const whole = Math.max(0, Math.floor(seconds));
  const parts = /** @type {[number, string][]} */ ([
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ]);
  const first = parts.findIndex(([number]) => number > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([number]) => number > 0)
    .map(([number, unit]) => `${number} ${unit}`)
    .join(" ");
}

const numbers = new Intl.NumberFormat("en");

/**
 * @param {number | null | undefined} value
 * @returns {string} With separators, such as `100,000`.
 */
export function count(value) {
  return value === null || value === undefined ? "" : numbers.format(value);
}

/**
 * @param {number} number
 * @param {string} one
 * @param {string} [many]
 * @returns {string} Such as `1 peer`, `2 peers`.
 */
export function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/**
 * @param {number | null | undefined} octets
 * @returns {string}
 */
export function size(octets) {
  if (octets === null || octets === undefined) return "";
  const units = ["B", "KiB", "MiB", "GiB"];
  let value = octets;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/**
 * @param {string | null | undefined} moment ISO 8601.
 * @param {number} now Milliseconds since 1970.
 * @returns {number | null} Seconds since then.
 */
export function age(moment, now) {
  const at = moment ? Date.parse(moment) : NaN;
  return Number.isNaN(at) ? null : Math.max(0, (now - at) / 1000);
}

/**
 * @param {string | number | Date} moment
 * @returns {string} The time of day here, with the date unless it is today's.
 */
export function clock(moment) {
  const at = new Date(moment);
  if (Number.isNaN(at.getTime())) return String(moment);
  /** @param {number} n */
  const two = (n) => String(n).padStart(2, "0");
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return at.toDateString() === new Date().toDateString() ? time : `${date} ${time}`;
}

/** @typedef {"up" | "opening" | "stale" | "down" | "disabled"} Health */

/** What a state is called, and which comes first where all are counted. */
export const HEALTH = /** @type {Record<Health, string>} */ ({
  down: "down",
  stale: "down, routes kept",
  opening: "opening",
  up: "established",
  disabled: "disabled",
});

/**
 * @param {{state: string | null, is_enabled: boolean, is_stale?: boolean, families?: {stale: number}[]}} peer
 * @returns {Health}
 */
export function healthOf(peer) {
  if (peer.state === "Established") return "up";
  if (!peer.is_enabled) return "disabled";
  if (peer.is_stale || peer.families?.some((family) => family.stale > 0)) return "stale";
  return peer.state === "OpenSent" || peer.state === "OpenConfirm" ? "opening" : "down";
}

/** @type {Record<string, string>} */
export const PEER_TYPES = { client: "client", "non-client": "iBGP", ebgp: "eBGP" };

const collator = new Intl.Collator("en", { numeric: true });

/**
 * @param {string} a
 * @param {string} b
 * @returns {number} The order of names, numbers in them by value.
 */
export const byName = (a, b) => collator.compare(a, b);
