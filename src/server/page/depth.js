// The book as two hills: how much could be bought or sold up to a price.

import { brief } from "./decimal.js";
import { mark as attribute, write } from "./frame.js";
import { ticks } from "./scale.js";
import { surface } from "./surface.js";

const LEVELS = 400;
// A share of the price: farther out nobody trades.
const REACH_MOST = 0.05;
const TOP_PX = 10;
const AXIS_PX = 20;
// Between two lines of the amount.
const LINES_PX = 36;
const SAID_EVERY_MS = 10_000;

const canvas = document.getElementById("depth");
const note = document.getElementById("depth-note");

export function depth(book) {
  const it = { instrument: undefined, pointer: undefined, saidAt: -Infinity };
  const { mark } = surface(canvas, (...told) => draw(book, it, ...told), 200);
  canvas.addEventListener("pointermove", (event) => {
    it.pointer = event.offsetX;
    mark.now();
  });
  canvas.addEventListener("pointerleave", () => {
    it.pointer = undefined;
    mark.now();
  });
  return {
    mark,
    show(instrument) {
      it.instrument = instrument;
      it.saidAt = -Infinity;
      mark();
    },
  };
}

function draw(book, it, context, width, height, colours) {
  const { bids, asks } = book;
  if (!it.instrument || !bids.length || !asks.length) {
    write(note, "");
    return;
  }
  const middle = (bids[0].at + asks[0].at) / 2;
  // As far as both sides are known, so that the middle is in the middle.
  const known = Math.min(middle - bids[Math.min(LEVELS, bids.length) - 1].at, asks[Math.min(LEVELS, asks.length) - 1].at - middle);
  const reach = Math.min(known, middle * REACH_MOST);
  if (!(reach > 0)) return;
  const hills = { bids: hill(bids, middle - reach), asks: hill(asks, middle + reach) };
  const most = Math.max(hills.bids.total, hills.asks.total) * 1.05;
  const bottom = height - AXIS_PX;
  const x = (price) => ((price - middle + reach) / (2 * reach)) * width;
  const y = (amount) => TOP_PX + (1 - amount / most) * (bottom - TOP_PX);

  context.font = colours.font;
  context.lineWidth = 1;
  context.textAlign = "center";
  for (const price of ticks(middle - reach, middle + reach, Math.max(2, width / 110))) {
    const at = Math.round(x(price)) + 0.5;
    context.strokeStyle = colours.line;
    context.beginPath();
    context.moveTo(at, TOP_PX);
    context.lineTo(at, bottom);
    context.stroke();
    context.fillStyle = colours.muted;
    if (at > 30 && at < width - 30) context.fillText(price.toFixed(it.instrument.pricePlaces), at, height - 5);
  }
  amounts(context, most, { width, bottom, y }, colours);
  paint(context, hills.bids.steps, x, y, bottom, 0, colours.up);
  paint(context, hills.asks.steps, x, y, bottom, width, colours.down);
  point(it, { hills, middle, reach, width, bottom, x, y }, context, colours);
  say(it, hills, middle, reach);
}

// How high the hills are, in words at the right edge, above the line that they belong to.
function amounts(context, most, { width, bottom, y }, colours) {
  context.textAlign = "right";
  for (const amount of ticks(0, most * 0.96, (bottom - TOP_PX) / LINES_PX)) {
    if (!amount) continue;
    const at = Math.round(y(amount)) + 0.5;
    context.strokeStyle = colours.line;
    context.beginPath();
    context.moveTo(0, at);
    context.lineTo(width, at);
    context.stroke();
    context.fillStyle = colours.muted;
    // Steps are round: "15.00K" says no more than "15K".
    context.fillText(brief(amount.toFixed(8)).replace(/\.?0+(?=[KMBTQ])/, ""), width - 6, at - 4);
  }
}

// Prices and sums, from the best one outwards.
function hill(side, end) {
  const steps = [];
  let total = 0;
  for (const { at, amount } of side) {
    if (Math.abs(at - side[0].at) > Math.abs(end - side[0].at)) break;
    total += amount;
    steps.push([at, total]);
  }
  return { steps, total };
}

function paint(context, steps, x, y, bottom, edge, colour) {
  const trace = () => {
    context.beginPath();
    context.moveTo(x(steps[0][0]), bottom);
    let before = bottom;
    for (const [price, total] of steps) {
      context.lineTo(x(price), before);
      before = y(total);
      context.lineTo(x(price), before);
    }
    context.lineTo(edge, before);
  };
  trace();
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.stroke();
  context.lineTo(edge, bottom);
  context.closePath();
  context.globalAlpha = 0.14;
  context.fillStyle = colour;
  context.fill();
  context.globalAlpha = 1;
}

function point(it, { hills, middle, reach, width, bottom, x, y }, context, colours) {
  const { quote, base, pricePlaces } = it.instrument;
  if (it.pointer === undefined) {
    write(note, `± ${((reach / middle) * 100).toFixed(2)} %`);
    return;
  }
  const price = middle - reach + (it.pointer / width) * 2 * reach;
  const [side, word] = price < middle ? [hills.bids, "bid down to"] : [hills.asks, "asked up to"];
  let total = 0;
  for (const [at, sum] of side.steps) {
    if (price < middle ? at < price : at > price) break;
    total = sum;
  }
  context.strokeStyle = colours.muted;
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(x(price), TOP_PX);
  context.lineTo(x(price), bottom);
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = price < middle ? colours.up : colours.down;
  context.beginPath();
  context.arc(x(price), y(total), 3, 0, 7);
  context.fill();
  write(note, `${brief(total.toFixed(4))} ${base} ${word} ${price.toFixed(pricePlaces)} ${quote}`);
}

// The picture in words, not more often than someone could listen.
function say(it, hills, middle, reach) {
  if (performance.now() - it.saidAt < SAID_EVERY_MS) return;
  it.saidAt = performance.now();
  const { symbol, base, pricePlaces } = it.instrument;
  const within = `${((reach / middle) * 100).toFixed(2)} % of ${middle.toFixed(pricePlaces)}`;
  const [bid, asked] = [hills.bids, hills.asks].map(({ total }) => brief(total.toFixed(4)));
  attribute(canvas, "aria-label", `Depth of ${symbol}: ${bid} ${base} bid and ${asked} ${base} asked within ${within}`);
}
