// What the page knows of the daemon, and when it learned it. Views subscribe; nothing else fetches
// status and peers.
import { ApiError, getObject, getRows } from "./api.js";
import { EventStream } from "./stream.js";

/** @typedef {import("./stream.js").DaemonEvent} DaemonEvent */
/** @typedef {"status" | "peers" | "topology"} Part */

const JOURNAL = 500; // events of before the page was opened
const EVENTS_MAX = 2000; // kept in the page; older ones are forgotten
const EVERY = 5000; // milliseconds between two looks at what changes without an event
const SHARE = 20; // a part that took 1 s to fetch is fetched every 20 s
const SKEW_MIN = 5000; // milliseconds; below it is the age of an answer that gives whole seconds
const AFTER_EVENT = 150; // milliseconds: events come in bursts

/** @type {Record<Part, () => Promise<any>>} */
const FETCH = {
  status: () => getObject("status"),
  peers: () => getRows("peers", { brief: true }),
  topology: () => getRows("topology"),
};

export class Store extends EventTarget {
  constructor() {
    super();
    /** @type {any} */
    this.status = null;
    /** @type {any[] | null} */
    this.peers = null;
    /** @type {any[] | null} */
    this.topology = null;
    /** @type {DaemonEvent[]} Newest last. */
    this.events = [];
    this.missed = 0;
    this.routeChanges = 0; // since the page was opened
    this.skew = 0; // milliseconds that the daemon's clock is ahead of this machine's
    /** @type {Map<string, number>} Number of events that the page has seen, by kind. */
    this.counts = new Map();
    /** @type {ApiError | null} Why the last request failed. */
    this.error = null;
    /** @type {Date | null} When the first of the failing requests failed. */
    this.failedAt = null;
    this.stream = new EventStream();
    /** @type {Map<Part, {users: number, timer: number, isLoading: boolean, isDirty: boolean}>} */
    this._parts = new Map();
    this.stream.addEventListener("event", (event) => this._note(/** @type {CustomEvent} */ (event).detail));
    this.stream.addEventListener("missed", (event) => {
      this.missed += /** @type {CustomEvent} */ (event).detail;
    });
    this.stream.addEventListener("state", () => {
      this._tell("connection");
      if (this.stream.state === "open") this.refresh();
    });
  }

  /** Take what the daemon's journal still has, and follow from there: nothing is missed between. */
  async start() {
    try {
      for (const event of await getRows("journal", { limit: JOURNAL })) this._note(event);
      this.stream.cursor = this.events.at(-1)?.id ?? null;
    } catch (error) {
      this.failed(error);
    }
    this.stream.start();
  }

  /**
   * Keep a part fresh until the function returned is called.
   * @param {Part} part
   * @param {() => void} listener Called after each change.
   * @returns {() => void}
   */
  follow(part, listener) {
    const state = this._state(part);
    state.users += 1;
    this.addEventListener(part, listener);
    void this.load(part);
    return () => {
      state.users -= 1;
      this.removeEventListener(part, listener);
      if (!state.users) clearTimeout(state.timer);
    };
  }

  /**
   * @param {string} type
   * @param {() => void} listener
   * @returns {() => void}
   */
  on(type, listener) {
    this.addEventListener(type, listener);
    return () => this.removeEventListener(type, listener);
  }

  /** Fetch again what is looked at. */
  refresh() {
    for (const [part, state] of this._parts) if (state.users) void this.load(part);
  }

  /** @param {Part} part */
  async load(part) {
    const state = this._state(part);
    if (state.isLoading) {
      state.isDirty = true;
      return;
    }
    state.isLoading = true;
    clearTimeout(state.timer);
    const start = performance.now();
    try {
      this[part] = await FETCH[part]();
      if (part === "status") this._compareClocks();
      this._worked();
      this._tell(part);
    } catch (error) {
      this.failed(error);
    }
    state.isLoading = false;
    const wait = Math.max(EVERY, (performance.now() - start) * SHARE);
    this._plan(part, state.isDirty ? AFTER_EVENT : wait);
    state.isDirty = false;
  }

  /**
   * Take note of a request that failed.
   * @param {unknown} error
   */
  failed(error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.kind === "answer") {
      console.warn(error.message);
      return;
    }
    this.error = error;
    this.failedAt ??= new Date();
    this._tell("connection");
  }

  /** @returns {number} The time at the daemon, milliseconds since 1970. */
  now() {
    return Date.now() + this.skew;
  }

  _compareClocks() {
    const { started_at, uptime } = this.status;
    const skew = Date.parse(started_at) + uptime * 1000 - Date.now();
    this.skew = Math.abs(skew) > SKEW_MIN ? skew : 0;
  }

  _worked() {
    if (!this.error) return;
    this.error = null;
    this.failedAt = null;
    this._tell("connection");
    if (this.stream.state !== "open") this.stream.retry();
  }

  /** @param {Part} part */
  _state(part) {
    let state = this._parts.get(part);
    if (!state) {
      state = { users: 0, timer: 0, isLoading: false, isDirty: false };
      this._parts.set(part, state);
    }
    return state;
  }

  /**
   * @param {Part} part
   * @param {number} wait Milliseconds.
   */
  _plan(part, wait) {
    const state = this._state(part);
    clearTimeout(state.timer);
    if (state.users) state.timer = setTimeout(() => void this.load(part), wait);
  }

  /** @param {DaemonEvent} event */
  _note(event) {
    this.events.push(event);
    if (this.events.length > EVENTS_MAX * 1.25) this.events.splice(0, this.events.length - EVENTS_MAX);
    this.counts.set(event.kind, (this.counts.get(event.kind) ?? 0) + 1);
    if (event.kind === "route") {
      if (this.stream.state === "open") this.routeChanges += 1; // what the journal had is in any table
    } else {
      for (const [part, state] of this._parts) {
        if (state.isLoading) state.isDirty = true;
        else this._plan(part, AFTER_EVENT);
      }
    }
    this._tell("events");
  }

  /** @param {string} type */
  _tell(type) {
    this.dispatchEvent(new Event(type));
  }
}
