// Addresses and prefixes as numbers, to see which contains which. Pure.

/**
 * @typedef {object} Prefix
 * @property {4 | 6} version
 * @property {bigint} bits The network, as a number of 32 or 128 bits.
 * @property {number} length
 * @property {boolean} isAddress It was written without a length.
 */

/**
 * @param {string} text
 * @returns {bigint | null}
 */
function parseV4(text) {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  let bits = 0n;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return null;
    bits = bits * 256n + BigInt(part);
  }
  return bits;
}

/**
 * @param {string} text
 * @returns {bigint | null}
 */
function parseV6(text) {
  const dotted = text.match(/^(.*:)(\d+\.\d+\.\d+\.\d+)$/);
  let whole = text;
  if (dotted) {
    const low = parseV4(dotted[2]);
    if (low === null) return null;
    whole = `${dotted[1]}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`;
  }
  const halves = whole.split("::");
  if (halves.length > 2) return null;
  const [head, tail] = halves.map((half) => (half ? half.split(":") : []));
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (tail ? missing < 1 : missing !== 0) return null;
  const words = tail ? [...head, ...Array(missing).fill("0"), ...tail] : head;
  let bits = 0n;
  for (const word of words) {
    if (!/^[0-9a-f]{1,4}$/i.test(word)) return null;
    bits = (bits << 16n) | BigInt(`0x${word}`);
  }
  return bits;
}

/**
 * @param {string} text Such as `10.0.0.0/8` or `fd00::1`.
 * @returns {Prefix | null}
 */
export function parsePrefix(text) {
  const match = text.match(/^([0-9a-f.:]+)(?:\/(\d{1,3}))?$/i);
  if (!match) return null;
  const version = match[1].includes(":") ? 6 : 4;
  const width = version === 6 ? 128 : 32;
  const bits = version === 6 ? parseV6(match[1]) : parseV4(match[1]);
  const length = match[2] === undefined ? width : Number(match[2]);
  if (bits === null || length > width) return null;
  const host = BigInt(width - length);
  return { version, bits: (bits >> host) << host, length, isAddress: match[2] === undefined };
}

/**
 * @param {Prefix} outer
 * @param {Prefix} inner
 * @returns {boolean} Whether `outer` contains `inner`.
 */
export function contains(outer, inner) {
  if (outer.version !== inner.version || outer.length > inner.length) return false;
  const host = BigInt((outer.version === 6 ? 128 : 32) - outer.length);
  return outer.bits >> host === inner.bits >> host;
}

/**
 * Read an IPv4 prefix fast: a search looks at each of 100,000.
 * @param {string} text Valid, as the daemon writes it.
 * @returns {number} The network times 64, plus the length.
 */
export function packedV4(text) {
  let bits = 0;
  let part = 0;
  let at = 0;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 46) {
      bits = bits * 256 + part;
      part = 0;
    } else if (code === 47) {
      break;
    } else {
      part = part * 10 + code - 48;
    }
  }
  return (bits * 256 + part) * 64 + (at < text.length ? Number(text.slice(at + 1)) : 32);
}

/**
 * @param {number} outer Of `packedV4`.
 * @param {number} inner
 * @returns {boolean} Whether `outer` contains `inner`.
 */
export function containsV4(outer, inner) {
  const length = outer % 64;
  if (length > inner % 64) return false;
  const host = 2 ** (32 - length) * 64;
  return Math.floor(outer / host) === Math.floor(inner / host);
}
