// A search as one types it: words apart by spaces, all of which must match. Pure.
//
//   10.0.0.0/8     the prefix and all inside it        10.1      prefixes that begin so
//   10.0.0.1       prefixes that contain the address   as65001, 65001    in the AS path
//   65000:100      a community, 65000:1:2 a large one  is:best is:filtered is:stale is:unreachable
//   peer:tor       the peer's name, next:10.0.0.1 the next hop; any other word is looked for in all of these
import { contains, containsV4, packedV4, parsePrefix } from "./addresses.js";
import { FLAGS } from "./route_table.js";

/** @typedef {import("./route_table.js").RoutePath} RoutePath */
/**
 * @typedef {object} Term A word of the search; either side may be absent.
 * @property {(path: RoutePath) => boolean} [path]
 * @property {(prefix: string) => boolean} [prefix]
 */

const TERMS_MAX = 16;

/** @type {Record<string, (path: RoutePath) => boolean>} */
const STATES = {
  best: (path) => Boolean(path.flags & FLAGS.best),
  multipath: (path) => Boolean(path.flags & FLAGS.multipath),
  stale: (path) => Boolean(path.flags & FLAGS.stale),
  filtered: (path) => Boolean(path.flags & FLAGS.filtered),
  unreachable: (path) => !(path.flags & (FLAGS.reachable | FLAGS.filtered)),
};

/**
 * @param {string} text
 * @param {string} word
 */
const has = (text, word) => text.toLowerCase().includes(word);

/**
 * @param {RoutePath} path
 * @param {string} word
 */
const hasCommunity = (path, word) =>
  [path.attributes.communities, path.attributes.large_communities, path.attributes.ext_communities].some(
    (list) => list?.some((/** @type {string} */ each) => each.toLowerCase().startsWith(word)),
  );

/**
 * @param {RoutePath} path
 * @param {string} number
 */
const hasAs = (path, number) => (path.attributes.as_path ?? "").split(/[\s,{}()]+/).includes(number);

/**
 * @param {RoutePath} path
 * @param {string} word
 */
const isNumbered = (path, word) => (path.attributes.next_hop ?? "").startsWith(word) || has(path.peer, word) || hasCommunity(path, word);

/**
 * @param {RoutePath} path
 * @param {string} word
 */
const saysWord = (path, word) =>
  has(path.peer, word) || has(path.reason, word) || has(path.attributes.next_hop ?? "", word) || hasCommunity(path, word);

/**
 * @param {string} word In lower case.
 * @returns {Term}
 */
function termOf(word) {
  const [, key, value] = word.match(/^(peer|next|is|community|as):(.*)$/) ?? [];
  if (key === "peer") return { path: (path) => has(path.peer, value) };
  if (key === "next") return { path: (path) => has(path.attributes.next_hop ?? "", value) };
  if (key === "community") return { path: (path) => hasCommunity(path, value) };
  if (key === "as") return { path: (path) => hasAs(path, value) };
  if (key === "is") return { path: STATES[value] ?? (() => Object.keys(STATES).every((n) => !n.startsWith(value))) };
  const [, number] = word.match(/^as(\d+)$/) ?? [];
  if (number) return { path: (path) => hasAs(path, number) };
  const wanted = parsePrefix(word);
  if (wanted?.isAddress) return { prefix: isAround(wanted), path: (path) => path.attributes.next_hop === word };
  if (wanted) return { prefix: isInside(wanted, word) };
  if (/^\d+$/.test(word)) return { path: (path) => hasAs(path, word), prefix: (prefix) => prefix.startsWith(word) };
  if (/^[0-9a-f.:/]+$/.test(word)) {
    return { prefix: (prefix) => prefix.startsWith(word), path: (path) => isNumbered(path, word) };
  }
  return { path: (path) => saysWord(path, word) };
}

/**
 * @param {import("./addresses.js").Prefix} prefix
 * @returns {number} As of `packedV4`.
 */
const packed = (prefix) => Number(prefix.bits) * 64 + prefix.length;

/**
 * @param {import("./addresses.js").Prefix} address
 * @returns {(prefix: string) => boolean}
 */
function isAround(address) {
  if (address.version === 4) {
    const wanted = packed(address);
    return (text) => !text.includes(":") && containsV4(packedV4(text), wanted);
  }
  return (text) => {
    const prefix = text.includes(":") ? parsePrefix(text) : null;
    return prefix !== null && contains(prefix, address);
  };
}

/**
 * A prefix that is not finished yet, such as 10.1.0.0/1 on the way to /16, matches as it is written too.
 * @param {import("./addresses.js").Prefix} outer
 * @param {string} word
 * @returns {(prefix: string) => boolean}
 */
function isInside(outer, word) {
  if (outer.version === 4) {
    const wanted = packed(outer);
    return (text) => !text.includes(":") && (text.startsWith(word) || containsV4(wanted, packedV4(text)));
  }
  return (text) => {
    if (text.startsWith(word)) return true;
    const prefix = text.includes(":") ? parsePrefix(text) : null;
    return prefix !== null && contains(outer, prefix);
  };
}

export class Search {
  /** @param {string} text */
  constructor(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean).slice(0, TERMS_MAX);
    this.terms = words.map(termOf);
    this.isEmpty = !this.terms.length;
    /** All terms, a bit each. */
    this.all = (1 << this.terms.length) - 1;
    /** Terms that a prefix can still meet where the path does not. */
    this._byPrefix = this.terms.reduce((mask, term, bit) => (term.prefix ? mask | (1 << bit) : mask), 0);
  }

  /**
   * @param {RoutePath} path
   * @returns {number} The terms that the path meets.
   */
  ofPath(path) {
    return this.terms.reduce((mask, term, bit) => (term.path?.(path) ? mask | (1 << bit) : mask), 0);
  }

  /**
   * @param {string} prefix
   * @returns {number} The terms that the prefix meets.
   */
  ofPrefix(prefix) {
    return this.terms.reduce((mask, term, bit) => (term.prefix?.(prefix) ? mask | (1 << bit) : mask), 0);
  }

  /**
   * @param {number} mask Of a path.
   * @returns {boolean} Whether some prefix of the path can match.
   */
  isPossible(mask) {
    return (mask | this._byPrefix) === this.all;
  }
}
