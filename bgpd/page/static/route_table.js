// Routes in memory as the daemon's route index has them: what is shared is held once, and a row is two
// numbers. So 100,000 rows take a few megabytes, and a search compares each distinct
// path once, not each row.

const FIRST_ROOM = 4096;

/** Bits of a path's flags, in the order of the route index. */
export const FLAGS = { best: 1, multipath: 2, reachable: 4, stale: 8, filtered: 16 };

/**
 * @typedef {object} RoutePath
 * @property {string} peer
 * @property {string} source
 * @property {Record<string, any>} attributes
 * @property {number} flags
 * @property {string} reason
 * @property {number | null} age Seconds since it was made, when the daemon was asked; null if it was filtered.
 */

export class RouteTable {
  constructor() {
    /** @type {RoutePath[]} */
    this.paths = [];
    /** @type {string[]} */
    this.prefixes = [];
    this.rowCount = 0;
    this.askedAt = performance.now(); // ages count from then, whatever the clocks say
    /** @type {(number | null)[]} Seconds since the best path of each prefix changed; null where that is not known. */
    this._ages = [];
    this._prefixOf = new Uint32Array(FIRST_ROOM);
    this._pathOf = new Uint32Array(FIRST_ROOM);
    /** @type {{peer: string, source: string}[]} */
    this._sources = [];
    /** @type {Record<string, any>[]} */
    this._attributes = [];
    /** @type {string[]} */
    this._reasons = [];
    /** @type {number[][]} Numbers of paths. */
    this._pathSets = [];
  }

  /**
   * Add a block of the route index.
   * @param {any} block
   */
  add(block) {
    this._sources.push(...block.sources);
    this._attributes.push(...block.attribute_sets);
    this._reasons.push(...block.reasons);
    for (const pathSet of block.path_sets) {
      this._pathSets.push(pathSet.map((/** @type {number[]} */ path) => this._path(path)));
    }
    for (let at = 0; at < block.prefixes.length; at += 1) {
      this._ages.push(block.ages[at]);
      const prefix = this.prefixes.push(block.prefixes[at]) - 1;
      for (const path of this._pathSets[block.paths[at]]) this._push(prefix, path);
    }
  }

  /** @param {number[]} path */
  _path([source, attributes, flags, reason, age]) {
    return (
      this.paths.push({
        ...this._sources[source],
        attributes: this._attributes[attributes],
        flags,
        reason: this._reasons[reason],
        age,
      }) - 1
    );
  }

  /**
   * @param {number} prefix
   * @param {number} path
   */
  _push(prefix, path) {
    if (this.rowCount === this._prefixOf.length) {
      this._prefixOf = grown(this._prefixOf);
      this._pathOf = grown(this._pathOf);
    }
    this._prefixOf[this.rowCount] = prefix;
    this._pathOf[this.rowCount] = path;
    this.rowCount += 1;
  }

  /**
   * @param {number} row
   * @returns {string}
   */
  prefixOf(row) {
    return this.prefixes[this._prefixOf[row]];
  }

  /**
   * @param {number} row
   * @returns {RoutePath}
   */
  pathOf(row) {
    return this.paths[this._pathOf[row]];
  }

  /**
   * Return since when a row is as it is.
   * @param {number} row
   * @returns {{seconds: number, isExact: boolean} | null} Of a path that is not exact, it is at most so long.
   */
  ageOf(row) {
    const { age, flags } = this.pathOf(row);
    if (age === null) return null;
    const changed = flags & FLAGS.best ? this._ages[this._prefixOf[row]] : null;
    const seconds = changed === null ? age : Math.min(age, changed);
    return { seconds: seconds + (performance.now() - this.askedAt) / 1000, isExact: changed !== null };
  }

  /**
   * Return the rows that match.
   * @param {import("./search.js").Search} search
   * @returns {Uint32Array}
   */
  find(search) {
    const found = new Uint32Array(this.rowCount);
    if (search.isEmpty) {
      for (let row = 0; row < this.rowCount; row += 1) found[row] = row;
      return found;
    }
    const masks = this.paths.map((path) => search.ofPath(path));
    let length = 0;
    let prefix = -1;
    let ofPrefix = 0;
    for (let row = 0; row < this.rowCount; row += 1) {
      const mask = masks[this._pathOf[row]];
      if (!search.isPossible(mask)) continue;
      if (this._prefixOf[row] !== prefix) {
        prefix = this._prefixOf[row];
        ofPrefix = search.ofPrefix(this.prefixes[prefix]);
      }
      if ((mask | ofPrefix) === search.all) {
        found[length] = row;
        length += 1;
      }
    }
    return found.subarray(0, length);
  }
}

/** @param {Uint32Array} old */
function grown(old) {
  const room = new Uint32Array(old.length * 2);
  room.set(old);
  return room;
}
