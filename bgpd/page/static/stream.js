// The daemon's events as they happen (server-sent events). Not EventSource: that can send no token.
import { ApiError, lines, request } from "./api.js";

/**
 * @typedef {object} DaemonEvent
 * @property {number} id Rises by one; a gap means that events were lost.
 * @property {string} time
 * @property {string} kind
 * @property {string} event
 */

const FIRST_WAIT = 500; // milliseconds
const LONGEST_WAIT = 15_000;
const SILENCE = 45_000; // without even a comment, the connection is taken for dead

/** Follows events, connects again by itself, and continues after the last one seen. */
export class EventStream extends EventTarget {
  constructor() {
    super();
    /** @type {number | null} */
    this.cursor = null;
    /** @type {"connecting" | "open" | "cut" | "refused" | "off"} */
    this.state = "connecting";
    /** @type {Date | null} Since when nothing comes. */
    this.cutAt = null;
    /** @type {ApiError | null} */
    this.error = null;
    /** @type {number} When the next attempt is made, milliseconds since 1970. */
    this.nextAt = 0;
    this._wait = FIRST_WAIT;
    /** @type {AbortController | null} */
    this._abort = null;
    /** @type {(() => void) | null} */
    this._wake = null;
    this._isRunning = false;
  }

  start() {
    if (this._isRunning) return;
    this._isRunning = true;
    void this._run();
  }

  /** Try now instead of later. */
  retry() {
    this._wait = FIRST_WAIT;
    this._wake?.();
  }

  async _run() {
    for (;;) {
      try {
        await this._follow();
        throw new ApiError("gone", "the daemon ended the stream");
      } catch (error) {
        this._cut(error);
      }
      await this._sleep();
    }
  }

  async _follow() {
    this._abort = new AbortController();
    /** @type {Record<string, string>} */
    const headers = this.cursor === null ? {} : { "Last-Event-ID": String(this.cursor) };
    const response = await request("events", {}, {
      accept: "text/event-stream",
      headers,
      signal: this._abort.signal,
    });
    this.state = "open";
    this.cutAt = null;
    this.error = null;
    this._wait = FIRST_WAIT;
    this.dispatchEvent(new Event("state"));
    let silence = setTimeout(() => this._abort?.abort(), SILENCE);
    let data = "";
    let name = "message";
    try {
      for await (const line of lines(response)) {
        clearTimeout(silence);
        silence = setTimeout(() => this._abort?.abort(), SILENCE);
        if (line === "") {
          if (data) this._dispatch(name, data);
          data = "";
          name = "message";
        } else if (line.startsWith("data:")) {
          data += (data ? "\n" : "") + line.slice(5).trimStart();
        } else if (line.startsWith("event:")) {
          name = line.slice(6).trim();
        }
      }
    } finally {
      clearTimeout(silence);
    }
  }

  /**
   * @param {string} name
   * @param {string} data
   */
  _dispatch(name, data) {
    const found = JSON.parse(data);
    this.cursor = found.id;
    if (found.event === "events-dropped") {
      this.dispatchEvent(new CustomEvent("missed", { detail: found.dropped ?? 0 }));
      return;
    }
    this.dispatchEvent(new CustomEvent("event", { detail: { name, ...found } }));
  }

  /** @param {unknown} error */
  _cut(error) {
    this.error = error instanceof ApiError ? error : new ApiError("gone", "the stream was silent for too long");
    // The daemon is there, and keeps no events (journal-off): that is no fault of the connection.
    if (this.error.kind === "answer") {
      this.state = "off";
      this.cutAt = null;
      this._wait = LONGEST_WAIT;
    } else {
      this.state = this.error.kind === "token" ? "refused" : "cut";
      this.cutAt ??= new Date();
    }
    this.nextAt = Date.now() + this._wait;
    this.dispatchEvent(new Event("state"));
  }

  async _sleep() {
    const wait = this._wait;
    this._wait = Math.min(wait * 2, LONGEST_WAIT);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this._wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
    this._wake = null;
  }
}
