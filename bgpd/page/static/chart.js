// Bars over time, as SVG; a table with the same figures is there for those who cannot see them.
import { svg } from "./dom.js";
import { clock, count } from "./format.js";

const HEIGHT = 120;
const AXIS = 20;
const SCALE = 44; // pixels for the figures at the left

/** @typedef {{at: number, value: number}} Bar */

/**
 * @param {{bars: Bar[], width: number, label: string, seconds: number}} options `seconds` a bar stands for.
 * @returns {SVGElement}
 */
export function barChart({ bars, width, label, seconds }) {
  const top = niceMaximum(Math.max(1, ...bars.map((bar) => bar.value)));
  const step = (width - SCALE) / Math.max(1, bars.length);
  const room = HEIGHT - AXIS - 8;
  /** @param {number} value */
  const height = (value) => (value ? Math.max(2, (value / top) * room) : 0);
  const lines = [0, 0.5, 1].map((part) => {
    const y = HEIGHT - AXIS - part * room;
    return [
      svg("line", { class: "grid", x1: SCALE, x2: width, y1: y, y2: y }),
      svg("text", { class: "scale", x: SCALE - 6, y: y + 4, "text-anchor": "end" }, count(top * part)),
    ];
  });
  const drawn = bars.map((bar, index) =>
    bar.value
      ? svg(
          "rect",
          {
            class: "bar",
            x: (SCALE + index * step + 0.5).toFixed(1),
            width: Math.max(1, step - 1).toFixed(1),
            y: (HEIGHT - AXIS - height(bar.value)).toFixed(1),
            height: height(bar.value).toFixed(1),
          },
          svg("title", {}, `${clock(bar.at)}: ${count(bar.value)}`),
        )
      : null,
  );
  const marks = width < 420 ? 3 : 5;
  const times = Array.from({ length: marks }, (_, mark) => {
    const index = Math.round((mark / (marks - 1)) * (bars.length - 1));
    const anchor = mark === 0 ? "start" : mark === marks - 1 ? "end" : "middle";
    const x = mark === marks - 1 ? width : SCALE + index * step;
    const at = bars[index]?.at ?? 0;
    return svg("text", { class: "scale", x, y: HEIGHT - 4, "text-anchor": anchor }, clock(at));
  });
  const most = bars.reduce((best, bar) => (bar.value > best.value ? bar : best), { at: 0, value: 0 });
  const total = bars.reduce((sum, bar) => sum + bar.value, 0);
  const said = most.value
    ? `${label}: ${count(total)} in all; most in ${seconds} s is ${count(most.value)}, at ${clock(most.at)}`
    : `${label}: none`;
  return svg(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": said },
    lines,
    drawn,
    times,
  );
}

/**
 * @param {number} value
 * @returns {number} The next of 2, 4, 10, 20, 40, 100, ...
 */
export function niceMaximum(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const factor of [1, 2, 4, 10]) {
    const top = factor * power;
    if (top >= value && top % 2 === 0) return top;
  }
  return 10 * power;
}
