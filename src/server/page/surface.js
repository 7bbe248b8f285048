// Canvases that follow their size and the theme, and the colours they are drawn in.

import { part } from "./frame.js";

const NAMES = ["panel", "line", "text", "muted", "up", "down", "accent"];
const marks = [];
let colours;

// The colours of style.css as they are now. Read once for each theme, never in a frame that changes the document.
export function palette() {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    colours.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  }
  return colours;
}

export function repaint() {
  colours = undefined;
  palette();
  for (const mark of marks) mark();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

// Gives `mark`, to be called when the picture is no longer right, and `size` (0 while nobody sees it).
export function surface(canvas, draw, everyMs = 100) {
  const context = canvas.getContext("2d");
  const size = { width: 0, height: 0 };
  const mark = part(() => {
    if (!size.width) return;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    draw(context, size.width, size.height, palette());
  }, everyMs);
  new ResizeObserver(([entry]) => {
    size.width = entry.contentRect.width;
    size.height = entry.contentRect.height;
    mark();
  }).observe(canvas);
  marks.push(mark);
  return { mark, size };
}
