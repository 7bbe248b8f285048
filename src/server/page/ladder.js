// The book as a ladder: fixed rows that are filled anew, never made anew. Text is what came over the wire; sums and steps of
// several ticks are exact integers.

import { hundredths, ratio, text, trim, units } from "./decimal.js";
import { mark as attribute, part, write } from "./frame.js";
import { fill } from "./rows.js";

const ROW_PX = 20;
const ROWS_MAX = 60;
const FLASH_MS = 250;
const STEPS = [1n, 10n, 100n, 1000n, 10000n];

const asks = document.getElementById("asks");
const bids = document.getElementById("bids");
const middle = document.getElementById("middle");
const spread = document.getElementById("spread");
const group = document.getElementById("group");
const state = document.getElementById("book-state");
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

// `book` is drawn whenever the function that this gives was called.
export function ladder(book) {
  const rows = { asks: [], bids: [] };
  const it = { instrument: undefined, last: undefined, direction: "flat" };
  const mark = part((now) => draw(book, rows, it, now, mark), 100);
  for (const [side, its] of [[asks, rows.asks], [bids, rows.bids]]) {
    new ResizeObserver(([{ contentRect }]) => {
      fill(side, its, Math.min(Math.floor(contentRect.height / ROW_PX), ROWS_MAX));
      mark();
    }).observe(side);
  }
  group.addEventListener("change", mark.now);
  return {
    mark,
    show(instrument) {
      it.instrument = instrument;
      it.last = undefined;
      it.direction = "flat";
      group.replaceChildren(...STEPS.map((step) => new Option(text(units(instrument.tick) * step, 0), step)));
      mark.now();
    },
    traded(priceText, direction) {
      it.last = priceText;
      it.direction = direction;
      mark();
    },
    // The next price step, for a key.
    step() {
      group.selectedIndex = (group.selectedIndex + 1) % group.options.length;
      mark.now();
    },
  };
}

function draw(book, rows, it, now, mark) {
  const { instrument } = it;
  if (!instrument) return;
  attribute(document.body, "data-book", book.isLive ? "live" : "waiting");
  write(state, book.isLive ? "" : "waiting for the book");
  const factor = BigInt(group.value || 1);
  const shown = {};
  for (const side of ["asks", "bids"]) {
    shown[side] = factor === 1n ? plain(book[side], rows[side].length, instrument) : grouped(side, book[side], rows[side].length, factor, instrument);
  }
  const deepest = Math.max(shown.asks.at(-1)?.share ?? 0, shown.bids.at(-1)?.share ?? 0);
  let isHot = false;
  for (const side of ["asks", "bids"]) {
    rows[side].forEach((row, index) => {
      isHot = put(row, shown[side][index], deepest, now) || isHot;
    });
  }
  // What flashes has to stop flashing, even in a market that stands still.
  clearTimeout(it.cooling);
  if (isHot) it.cooling = setTimeout(mark, FLASH_MS);
  const [ask, bid] = [book.asks[0], book.bids[0]];
  const price = it.last === undefined ? "–" : trim(it.last, instrument.pricePlaces);
  write(middle, `${price}${{ up: " ▲", down: " ▼", flat: "" }[it.direction]}`);
  attribute(middle, "data-direction", it.direction);
  write(spread, ask && bid ? distance(ask, bid, instrument) : "–");
}

function distance(ask, bid, instrument) {
  const gap = ask.price - bid.price;
  const points = hundredths(ratio(gap * 2_000_000n, ask.price + bid.price));
  return `spread ${text(gap, instrument.pricePlaces)} · ${points} bp`;
}

function put(row, level, deepest, now) {
  const [price, size, total] = row.cells;
  write(price, level?.priceText ?? "");
  write(size, level?.sizeText ?? "");
  write(total, level?.totalText ?? "");
  // The bar is the row's background: it costs a paint and no layout, and needs no layer of its own.
  const share = level && deepest ? Math.round((level.share / deepest) * 200) / 2 : 0;
  if (row.share !== share) {
    row.share = share;
    row.element.style.backgroundSize = `${share}% 18px`;
  }
  const isHot = Boolean(level) && !stillness.matches && now - level.changedAt < FLASH_MS;
  if (row.isHot !== isHot) {
    row.isHot = isHot;
    row.element.classList.toggle("hot", isHot);
  }
  return isHot;
}

function plain(side, count, { pricePlaces, sizePlaces }) {
  let sum = 0n;
  return side.slice(0, count).map((level) => {
    sum += level.size;
    return {
      priceText: trim(level.priceText, pricePlaces),
      sizeText: trim(level.sizeText, sizePlaces),
      totalText: text(sum, sizePlaces),
      share: Number(sum),
      changedAt: level.changedAt,
    };
  });
}

// Levels of several ticks. A bid belongs to the step below it and an ask to the one above: no row promises a better price than
// the book has.
function grouped(name, side, count, factor, { tick, pricePlaces, sizePlaces }) {
  const step = units(tick) * factor;
  const found = [];
  let sum = 0n;
  for (const { price, size, changedAt } of side) {
    const edge = name === "bids" ? price - (price % step) : ((price + step - 1n) / step) * step;
    let row = found.at(-1);
    if (row?.edge !== edge) {
      if (found.length === count) break;
      row = { edge, size: 0n, changedAt: -Infinity };
      found.push(row);
    }
    row.size += size;
    row.changedAt = Math.max(row.changedAt, changedAt);
  }
  for (const row of found) {
    sum += row.size;
    row.priceText = text(row.edge, pricePlaces);
    row.sizeText = text(row.size, sizePlaces);
    row.totalText = text(sum, sizePlaces);
    row.share = Number(sum);
  }
  return found;
}
