// Candles: history from REST, the open one from its stream. Pixels are floats; every figure in words is the venue's text.

import { brief, trim } from "./decimal.js";
import { mark as attribute, part, write } from "./frame.js";
import { insist } from "./rest.js";
import { instants } from "./instants.js";
import { ticks } from "./scale.js";
import { surface } from "./surface.js";

export const INTERVALS = ["1s", "1m", "5m", "15m", "1h", "4h", "1d", "1w"];
const HISTORY = 1000;
const KEPT = 3000;
const AXIS_PX = 20;
const TOP_PX = 10;
const VOLUME_SHARE = 0.16;
// Between two lines of the price.
const LINES_PX = 36;
const STEP_LEAST_PX = 3;
const STEP_MOST_PX = 40;
const SAID_EVERY_MS = 10_000;

const canvas = document.getElementById("candles");
const legend = document.getElementById("legend");

export function candles() {
  const it = {
    instrument: undefined,
    interval: "1m",
    rows: [],
    step: 8,
    back: 0,
    chosen: undefined,
    last: undefined,
    saidAt: -Infinity,
    isHere: false,
  };
  const { mark, size } = surface(canvas, (...told) => draw(it, ...told));
  const markLegend = part(() => describe(it), 100);
  const changed = () => {
    mark();
    markLegend();
  };
  changed.now = () => {
    mark.now();
    markLegend.now();
  };
  const view = { axis: 70 };
  it.view = view;
  point(it, size, changed.now);
  return {
    mark: changed,
    show(instrument, interval) {
      Object.assign(it, { instrument, interval, rows: [], back: 0, chosen: undefined, last: undefined, saidAt: -Infinity, isHere: false });
      changed.now();
    },
    // History, with what came from the stream meanwhile on top.
    async begin(path, signal) {
      const [asked, interval] = [it.instrument, it.interval];
      const query = `symbol=${encodeURIComponent(asked.symbol)}&interval=${interval}&limit=${HISTORY}`;
      const found = await insist(`${path}api/v3/klines?${query}`, { signal });
      if (!found || it.instrument !== asked || it.interval !== interval) return;
      const rows = found.map(([t, o, h, l, c, v]) => candle(t, o, h, l, c, v));
      const newest = rows.at(-1)?.time ?? -Infinity;
      // The stream's word on the open candle is newer than the answer's, unless the stream has not spoken yet.
      const told = it.rows.filter((row) => row.isTold && row.time >= newest);
      it.rows = [...rows.filter((row) => !told.some(({ time }) => time === row.time)), ...told];
      it.isHere = true;
      changed();
    },
    // One event `kline`.
    take({ i, t, o, h, l, c, v }) {
      if (i !== it.interval) return;
      const row = candle(t, o, h, l, c, v);
      row.isTold = true;
      const newest = it.rows.at(-1);
      if (newest?.time === t) it.rows[it.rows.length - 1] = row;
      else if (!newest || newest.time < t) {
        it.rows.push(row);
        if (it.rows.length > KEPT) it.rows.splice(0, it.rows.length - KEPT);
        if (it.back) it.back += 1;
      } else {
        const index = it.rows.findLastIndex(({ time }) => time === t);
        if (index >= 0) it.rows[index] = row;
      }
      changed();
    },
    traded(priceText) {
      it.last = priceText;
      mark();
    },
    zoom(by) {
      zoom(it, by);
      changed.now();
    },
  };
}

function candle(time, open, high, low, close, volume) {
  const words = { open, high, low, close, volume };
  return { time, words, open: Number(open), high: Number(high), low: Number(low), close: Number(close), volume: Number(volume) };
}

function zoom(it, by) {
  it.step = Math.min(STEP_MOST_PX, Math.max(STEP_LEAST_PX, Math.round(it.step * (by > 0 ? 1.25 : 0.8) + (by > 0 ? 0.5 : -0.5))));
}

// Pointer and arrows on the chart.
function point(it, size, changed) {
  let dragged;
  const at = (x) => {
    const index = Math.round(last(it) - (size.width - it.view.axis - x) / it.step + 0.5);
    return it.rows[index] ? index : undefined;
  };
  canvas.addEventListener("pointermove", (event) => {
    if (dragged) pan(it, dragged.back + (event.offsetX - dragged.x) / it.step);
    it.chosen = at(event.offsetX);
    it.pointerY = event.offsetY;
    changed();
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch") return;
    dragged = { x: event.offsetX, back: it.back };
    canvas.setPointerCapture(event.pointerId);
  });
  const end = () => (dragged = undefined);
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  const leave = () => {
    it.chosen = it.pointerY = undefined;
    changed();
  };
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("blur", leave);
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(it, it.back - event.deltaX / it.step);
    else zoom(it, -event.deltaY);
    changed();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") leave();
    if (!by || !it.rows.length) return;
    event.preventDefault();
    it.chosen = Math.max(0, Math.min(it.rows.length - 1, (it.chosen ?? it.rows.length - 1 + (by < 0 ? 1 : 0)) + by));
    const shown = Math.floor((size.width - it.view.axis) / it.step);
    if (it.chosen > last(it)) pan(it, it.rows.length - 1 - it.chosen);
    if (it.chosen <= last(it) - shown) pan(it, it.rows.length - 1 - it.chosen - shown + 1);
    it.saidAt = -Infinity;
    changed();
  });
}

function pan(it, back) {
  it.back = Math.max(0, Math.min(Math.round(back), it.rows.length - 10));
}

// The newest candle in sight.
const last = (it) => it.rows.length - 1 - it.back;

function draw(it, context, width, height, colours) {
  const { rows, step, instrument } = it;
  context.font = colours.font;
  if (!instrument || !rows.length) {
    context.fillStyle = colours.muted;
    context.textAlign = "center";
    if (instrument) context.fillText(it.isHere ? "No candles yet" : "Fetching candles", width / 2, height / 2);
    return;
  }
  const places = instrument.pricePlaces;
  const axis = Math.ceil(context.measureText(rows.at(-1).high.toFixed(places)).width) + 16;
  it.view.axis = axis;
  const [right, bottom] = [width - axis, height - AXIS_PX];
  const newest = last(it);
  const oldest = Math.max(0, newest - Math.ceil(right / step));
  const shown = rows.slice(oldest, newest + 1);
  const x = (index) => right - (newest - index + 0.5) * step;

  let [low, high, most] = [Infinity, -Infinity, 0];
  for (const row of shown) {
    low = Math.min(low, row.low);
    high = Math.max(high, row.high);
    most = Math.max(most, row.volume);
  }
  const air = (high - low || high * 0.001) * 0.06;
  low -= air;
  high += air;
  const floor = bottom - (bottom - TOP_PX) * VOLUME_SHARE;
  const y = (price) => TOP_PX + ((high - price) / (high - low)) * (floor - TOP_PX);

  grid(context, { low, high, y, right, places, floor }, colours);
  hours(context, shown, oldest, x, right, bottom, height, step, colours);
  context.save();
  context.beginPath();
  context.rect(0, 0, right, height);
  context.clip();
  bodies(context, shown, oldest, x, y, { bottom, most, step, tall: (bottom - TOP_PX) * (VOLUME_SHARE - 0.02) }, colours);
  context.restore();
  price(context, it, { y, right, width, places }, colours);
  cross(context, it, { x, y, right, bottom, width, low, high, floor, places }, colours);
}

function grid(context, { low, high, y, right, places, floor }, colours) {
  context.strokeStyle = colours.line;
  context.fillStyle = colours.muted;
  context.lineWidth = 1;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.beginPath();
  for (const value of ticks(low, high, (floor - TOP_PX) / LINES_PX, 10 ** -places)) {
    const at = Math.round(y(value)) + 0.5;
    context.moveTo(0, at);
    context.lineTo(right, at);
    context.fillText(value.toFixed(places), right + 8, at);
  }
  context.stroke();
}

function hours(context, shown, oldest, x, right, bottom, height, step, colours) {
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  context.fillStyle = colours.muted;
  context.strokeStyle = colours.line;
  context.beginPath();
  for (const { index, words } of instants(shown, Math.ceil(84 / step))) {
    const at = Math.round(x(oldest + index)) + 0.5;
    if (at < 24 || at > right - 24) continue;
    context.moveTo(at, TOP_PX);
    context.lineTo(at, bottom);
    context.fillText(words, at, height - 5);
  }
  context.stroke();
}

// All rising candles in one path, then all falling ones: a rising body is hollow, so that colour is not the only difference.
function bodies(context, shown, oldest, x, y, { bottom, most, step, tall }, colours) {
  const wide = Math.max(1, Math.round(step * 0.7) - 1);
  for (const rises of [true, false]) {
    const colour = rises ? colours.up : colours.down;
    context.fillStyle = context.strokeStyle = colour;
    context.beginPath();
    const volumes = new Path2D();
    shown.forEach((row, index) => {
      if (row.close >= row.open !== rises) return;
      const middle = Math.round(x(oldest + index)) + 0.5;
      const [top, end] = [Math.round(y(Math.max(row.open, row.close))), Math.round(y(Math.min(row.open, row.close)))];
      const left = middle - wide / 2;
      context.moveTo(middle, y(row.high));
      context.lineTo(middle, top);
      context.moveTo(middle, end);
      context.lineTo(middle, y(row.low));
      context.rect(left, top + 0.5, wide, Math.max(end - top, 1) - (rises ? 0 : 0.5));
      const high = most ? (row.volume / most) * tall : 0;
      volumes.rect(left, bottom - high, wide, high);
    });
    context.lineWidth = 1;
    context.stroke();
    if (!rises || wide < 3) context.fill();
    context.globalAlpha = 0.22;
    context.fill(volumes);
    context.globalAlpha = 1;
  }
}

// The last price, across.
function price(context, it, { y, right, width, places }, colours) {
  const newest = it.rows.at(-1);
  const value = it.last === undefined ? newest.close : Number(it.last);
  const words = trim(it.last ?? newest.words.close, places);
  const at = Math.round(y(value)) + 0.5;
  if (at < 0 || at > y(-Infinity)) return;
  const colour = newest.close >= newest.open ? colours.up : colours.down;
  context.strokeStyle = colour;
  context.setLineDash([2, 3]);
  context.beginPath();
  context.moveTo(0, at);
  context.lineTo(right, at);
  context.stroke();
  context.setLineDash([]);
  tag(context, words, right, at, width, colour, colours.panel);
}

function tag(context, words, right, at, width, colour, ink) {
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(right + 2, at - 9, width - right - 4, 18, 3);
  context.fill();
  context.fillStyle = ink;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(words, right + 8, at);
}

function cross(context, it, { x, right, bottom, width, low, high, floor, places }, colours) {
  if (it.chosen === undefined || !it.rows[it.chosen]) return;
  context.strokeStyle = colours.muted;
  context.setLineDash([3, 3]);
  context.beginPath();
  const at = Math.round(x(it.chosen)) + 0.5;
  context.moveTo(at, TOP_PX);
  context.lineTo(at, bottom);
  const over = it.pointerY;
  const isOver = over !== undefined && over > TOP_PX && over < floor;
  if (isOver) {
    context.moveTo(0, over);
    context.lineTo(right, over);
  }
  context.stroke();
  context.setLineDash([]);
  if (isOver) {
    const value = high - ((over - TOP_PX) / (floor - TOP_PX)) * (high - low);
    tag(context, value.toFixed(places), right, over, width, colours.muted, colours.panel);
  }
}

function describe(it) {
  const row = it.rows[it.chosen ?? it.rows.length - 1];
  if (!row) {
    write(legend, "");
    return;
  }
  const { pricePlaces, symbol } = it.instrument;
  const { open, high, low, close, volume } = row.words;
  const said = [open, high, low, close].map((text) => trim(text, pricePlaces));
  write(legend, `O ${said[0]}  H ${said[1]}  L ${said[2]}  C ${said[3]}  V ${brief(volume)}`);
  if (performance.now() - it.saidAt < SAID_EVERY_MS) return;
  it.saidAt = performance.now();
  const when = new Date(row.time).toLocaleString();
  const words = `${when}: open ${said[0]}, high ${said[1]}, low ${said[2]}, close ${said[3]}, volume ${brief(volume)}`;
  attribute(canvas, "aria-label", `Candles of ${symbol}, ${it.interval}, ${it.rows.length} of them. ${words}`);
}
