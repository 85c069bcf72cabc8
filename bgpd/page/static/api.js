// Requests to the daemon that served this page. A token, where one is asked for, lives as long as
// the tab: in the session's storage, and in a header of each request.

const BASE = new URL("api/v1/", document.baseURI);
const TOKEN = "pybgpd-token";
const PATIENCE = 20_000; // milliseconds until an answer must have begun

/** @typedef {"gone" | "token" | "forbidden" | "answer"} ErrorKind */

/**
 * What went wrong: nothing answers, the token is missing or wrong, the daemon answers nothing to this
 * browser whatever the token, or it says no to this question.
 */
export class ApiError extends Error {
  /**
   * @param {ErrorKind} kind
   * @param {string} message
   * @param {string} [code]
   * @param {string[]} [expected]
   */
  constructor(kind, message, code = "", expected = []) {
    super(message);
    this.kind = kind;
    this.code = code;
    this.expected = expected;
  }
}

/** @returns {string} */
export const token = () => sessionStorage.getItem(TOKEN) ?? "";

/** @param {string} value */
export function setToken(value) {
  if (value) sessionStorage.setItem(TOKEN, value);
  else sessionStorage.removeItem(TOKEN);
}

/**
 * @param {string} path Below `/api/v1`.
 * @param {Record<string, string | number | boolean | undefined>} [query]
 * @param {{accept?: string, signal?: AbortSignal, headers?: Record<string, string>, isEndless?: boolean}} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, query = {}, options = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  /** @type {Record<string, string>} */
  const headers = { Accept: options.accept ?? "application/json", ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), PATIENCE);
  const signal = options.signal ? /** @type {any} */ (AbortSignal).any([options.signal, late.signal]) : late.signal;
  let response;
  try {
    response = await fetch(url, { headers, signal, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError("gone", late.signal.aborted ? "the daemon does not answer" : "the daemon cannot be reached");
  } finally {
    clearTimeout(timer);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/**
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
async function refusal(response) {
  let told = { code: "", message: "", expected: /** @type {string[]} */ ([]) };
  try {
    const body = await response.json();
    told = { ...told, ...(body.error ?? body) };
  } catch {
    // No JSON: the status has to do.
  }
  const message = told.message || `${response.status} ${response.statusText}`;
  if (response.status === 401) return new ApiError("token", message, told.code);
  if (response.status === 403) return new ApiError("forbidden", message, told.code);
  const kind = response.status === 502 || response.status === 504 ? "gone" : "answer";
  return new ApiError(kind, message, told.code, told.expected);
}

/**
 * Return one object.
 * @param {string} path
 * @param {Record<string, string | number | boolean | undefined>} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function getObject(path, query, signal) {
  const response = await request(path, query, { signal });
  return await complete(response);
}

/**
 * Return all rows of an answer.
 * @param {string} path
 * @param {Record<string, string | number | boolean | undefined>} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any[]>}
 */
export async function getRows(path, query, signal) {
  /** @type {any[]} */
  const rows = [];
  for await (const row of streamRows(path, query, signal)) rows.push(row);
  return rows;
}

/**
 * Yield the rows of an answer as they arrive.
 * @param {string} path
 * @param {Record<string, string | number | boolean | undefined>} [query]
 * @param {AbortSignal} [signal]
 * @returns {AsyncGenerator<any>}
 */
export async function* streamRows(path, query, signal) {
  const response = await request(path, query, { signal, accept: "application/x-ndjson" });
  for await (const line of lines(response)) {
    if (!line) continue;
    const row = JSON.parse(line);
    if (row.error?.code) throw new ApiError("answer", row.error.message, row.error.code, row.error.expected);
    yield row;
  }
}

/**
 * @param {Response} response
 * @returns {Promise<any>}
 */
async function complete(response) {
  try {
    return await response.json();
  } catch {
    throw new ApiError("gone", "the answer broke off");
  }
}

const TURN = 8; // milliseconds of work before the browser gets to draw and to hear keys

/**
 * Yield the lines of a body, without their ends.
 * @param {Response} response
 * @returns {AsyncGenerator<string>}
 */
export async function* lines(response) {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  /** @type {string[]} */
  let pieces = [];
  let since = performance.now();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (performance.now() - since > TURN) {
        await new Promise((resolve) => setTimeout(resolve));
        since = performance.now();
      }
      const parts = value.split("\n");
      if (parts.length > 1) {
        yield (pieces.join("") + parts[0]).replace(/\r$/, "");
        for (const line of parts.slice(1, -1)) yield line.replace(/\r$/, "");
        pieces = [];
      }
      pieces.push(parts[parts.length - 1]);
    }
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("gone", "the answer broke off");
  } finally {
    reader.releaseLock();
    response.body.locked || response.body.cancel().catch(() => undefined);
  }
  if (pieces.length) yield pieces.join("");
}
