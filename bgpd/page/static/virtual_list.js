// A list of any length of which only the rows in sight are in the document.
// One stop of the Tab key: arrows move the active row, Enter opens it (aria-activedescendant).
import { h, render } from "./dom.js";

const SPARE = 8; // rows beyond each edge
let serial = 0;

/**
 * @typedef {object} ListOptions
 * @property {string} label For screen readers.
 * @property {string} kind Of list: a class, which has the columns.
 * @property {() => number} rowHeight Pixels.
 * @property {string[]} columns Headings.
 * @property {(index: number) => import("./dom.js").Child[]} cells Of a row.
 * @property {(index: number) => string} [link] Where the row leads to.
 * @property {(index: number) => string} [rowClass]
 */

export class VirtualList {
  /** @param {ListOptions} options */
  constructor(options) {
    this.options = options;
    this.length = 0;
    this.active = -1;
    this.id = `list-${(serial += 1)}`;
    this._first = -1;
    this._frame = 0;
    this.head = h(
      "div",
      { class: "row head", role: "row", "aria-rowindex": 1 },
      options.columns.map((text) => h("div", { role: "columnheader", class: "cell" }, text)),
    );
    this.rows = h("div", { class: "rows", role: "rowgroup", "data-own": true });
    this.space = h("div", { class: "space", role: "presentation" }, this.rows);
    this.element = h(
      "div",
      {
        class: `list ${options.kind}`,
        role: "grid",
        tabindex: 0,
        "aria-label": options.label,
        "aria-colcount": options.columns.length,
        "data-own": true,
        onkeydown: (/** @type {KeyboardEvent} */ event) => this._key(event),
        onclick: (/** @type {MouseEvent} */ event) => this._click(event),
      },
      h("div", { role: "rowgroup", class: "heads" }, this.head),
      this.space,
    );
    this.element.addEventListener("scroll", () => this._draw(), { passive: true });
    this._resize = new ResizeObserver(() => this.update());
    this._resize.observe(this.element);
  }

  close() {
    this._resize.disconnect();
    cancelAnimationFrame(this._frame);
  }

  /**
   * Show that rows have changed.
   * @param {number} [length]
   */
  update(length = this.length) {
    this.length = length;
    this.active = Math.min(this.active, length - 1);
    this.space.style.height = `${length * this.options.rowHeight()}px`;
    this.element.setAttribute("aria-rowcount", String(length + 1));
    this._first = -1;
    this._draw();
  }

  toTop() {
    this.element.scrollTop = 0;
    this.active = -1;
  }

  _draw() {
    const height = this.options.rowHeight();
    const top = this.element.scrollTop;
    const shown = Math.ceil(this.element.clientHeight / height) + 1;
    const first = Math.max(0, Math.floor(top / height) - SPARE);
    if (first === this._first && this._first >= 0) return;
    this._first = first;
    const last = Math.min(this.length, first + shown + 2 * SPARE);
    const rows = [];
    for (let index = first; index < last; index += 1) rows.push(this._row(index));
    this.rows.style.transform = `translateY(${first * height}px)`;
    render(this.rows, rows);
    this._mark();
  }

  /** @param {number} index */
  _row(index) {
    const { cells, link, rowClass } = this.options;
    const parts = cells(index).map((cell) => h("div", { class: "cell", role: "gridcell" }, cell));
    return h(
      link ? "a" : "div",
      {
        class: `row ${rowClass?.(index) ?? ""}`,
        role: "row",
        "data-key": index,
        "data-index": index,
        "aria-rowindex": index + 2,
        href: link?.(index),
        tabindex: link ? -1 : null,
      },
      parts,
    );
  }

  _mark() {
    let marked = null;
    for (const row of this.rows.children) {
      const isActive = Number(row.getAttribute("data-index")) === this.active;
      row.classList.toggle("active", isActive);
      if (isActive) {
        row.id = `${this.id}-active`;
        marked = row;
      } else {
        row.removeAttribute("id");
      }
    }
    if (marked) this.element.setAttribute("aria-activedescendant", marked.id);
    else this.element.removeAttribute("aria-activedescendant");
  }

  /** @param {MouseEvent} event */
  _click(event) {
    const row = event.target instanceof Element ? event.target.closest("[data-index]") : null;
    if (!row) return;
    this.active = Number(row.getAttribute("data-index"));
    this._mark();
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || !this.length) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.options.rowHeight()) - 2);
    /** @type {Record<string, number>} */
    const targets = {
      ArrowDown: this.active + 1,
      ArrowUp: this.active < 0 ? 0 : this.active - 1,
      PageDown: this.active + page,
      PageUp: this.active - page,
      Home: 0,
      End: this.length - 1,
    };
    if (event.key in targets) {
      event.preventDefault();
      this.active = Math.max(0, Math.min(this.length - 1, targets[event.key]));
      this._reveal();
    } else if (event.key === "Enter" && this.active >= 0 && this.options.link) {
      event.preventDefault();
      location.hash = this.options.link(this.active);
    }
  }

  _reveal() {
    const height = this.options.rowHeight();
    const heads = this.head.offsetHeight;
    const top = this.active * height;
    const room = this.element.clientHeight - heads;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + height > this.element.scrollTop + room) this.element.scrollTop = top + height - room;
    this._first = -1;
    this._draw();
  }
}
