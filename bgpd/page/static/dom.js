// Elements from plain values. All text becomes text nodes: nothing that a peer says is ever markup,
// and the page's Content-Security-Policy forbids every other way (Trusted Types).

const SVG = "http://www.w3.org/2000/svg";
const HANDLERS = /** @type {const} */ (["onclick", "oninput", "onkeydown", "onfocus", "onchange", "onsubmit"]);

/** @typedef {Node | string | number | null | undefined | false | any[]} Child A list holds such, too. */
/** @typedef {Record<string, unknown>} Properties */

/**
 * @param {Element} element
 * @param {Properties} properties
 */
function fill(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) {
      Reflect.set(element, name, value);
    } else if (name === "value") {
      /** @type {HTMLInputElement} */ (element).value = String(value);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/**
 * @param {Node} parent
 * @param {Child[]} children
 */
function append(parent, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(parent, child);
    else parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * Make an HTML element.
 * @param {string} tag
 * @param {Properties} [properties] Attributes, and handlers such as `onclick`.
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  append(element, children);
  fill(element, properties);
  return element;
}

/**
 * Make an SVG element.
 * @param {string} tag
 * @param {Properties} [properties]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  fill(element, properties);
  append(element, children);
  return element;
}

/**
 * Make `root` hold `children`, changing only what differs: focus, scroll positions and opened
 * details survive an update. Elements with an `id` or a `data-key` keep
 * their identity when their order changes.
 * @param {Element} root
 * @param {...Child} children
 */
export function render(root, ...children) {
  const wanted = document.createDocumentFragment();
  append(wanted, children);
  patchChildren(root, wanted);
}

/**
 * @param {Node} old
 * @param {Node} wanted
 */
function patchChildren(old, wanted) {
  let at = old.firstChild;
  for (const fresh of [...wanted.childNodes]) {
    if (at && !isSame(at, fresh) && keyOf(fresh)) {
      const kept = following(at, fresh);
      if (kept) {
        old.insertBefore(kept, at);
        at = kept;
      }
    }
    if (at && isSame(at, fresh)) {
      patch(at, fresh);
      at = at.nextSibling;
    } else {
      old.insertBefore(fresh, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    old.removeChild(at);
    at = next;
  }
}

/** @param {Node} node */
const keyOf = (node) => (node instanceof Element ? node.getAttribute("data-key") || node.id : "");

/**
 * @param {ChildNode} at
 * @param {Node} fresh
 * @returns {ChildNode | null} What `fresh` is the new form of, among the siblings after `at`.
 */
function following(at, fresh) {
  for (let next = at.nextSibling; next; next = next.nextSibling) {
    if (isSame(next, fresh)) return next;
  }
  return null;
}

/**
 * @param {Node} old
 * @param {Node} fresh
 * @returns {boolean}
 */
function isSame(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.nodeType !== fresh.nodeType) return false;
  return keyOf(old) === keyOf(fresh);
}

/**
 * @param {Node} old
 * @param {Node} fresh
 */
function patch(old, fresh) {
  if (!(old instanceof Element) || !(fresh instanceof Element)) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if (fresh.hasAttribute("data-own")) return; // a part that renders itself
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old instanceof HTMLDetailsElement)) {
      old.removeAttribute(name);
    }
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const handler of HANDLERS) {
    Reflect.set(old, handler, Reflect.get(fresh, handler));
  }
  patchChildren(old, fresh);
}
