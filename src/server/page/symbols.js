// The list: last price, change of 24 hours and a line of them for each symbol.

import { arrow, direction, percent, trim, units } from "./decimal.js";
import { mark as attribute, part, write } from "./frame.js";
import { insist } from "./rest.js";

// A quarter of an hour each, over 24 hours.
const LINE_INTERVAL = "15m";
const LINE_INTERVAL_MS = 900_000;
const LINE_POINTS = 96;
const LINE_WIDTH = 64;
const LINE_HEIGHT = 26;
// Requests for lines under way at the same time.
const ASKING_MAX = 3;

const SVG = "http://www.w3.org/2000/svg";

const list = document.getElementById("list");
const none = document.getElementById("none");
const search = document.getElementById("search");

// `chosen(symbol)` when somebody chooses.
export function symbols(chosen) {
  const it = { rows: new Map(), order: [], current: undefined, path: "", signal: undefined, queue: [], asking: 0 };
  const mark = part(() => draw(it), 100);
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.row.isSeen = isIntersecting;
      if (isIntersecting) wish(it, target.row, mark);
    }
    mark();
  }, { root: list, rootMargin: "60px" });
  list.addEventListener("click", (event) => {
    const element = event.target.closest("[role=option]");
    if (element) chosen(element.row.instrument.symbol);
  });
  search.addEventListener("input", () => filter(it));
  return {
    mark,
    show(instruments, path, signal) {
      Object.assign(it, { path, signal, queue: [], asking: 0 });
      seen.disconnect();
      it.order = instruments.map((instrument) => row(instrument));
      it.rows = new Map(it.order.map((row) => [row.instrument.symbol, row]));
      list.replaceChildren(...it.order.map(({ element }) => element));
      for (const { element } of it.order) seen.observe(element);
      search.value = "";
      filter(it);
      begin(it, mark);
    },
    // One event `24hrMiniTicker`.
    take({ s, c, o }) {
      const row = it.rows.get(s);
      if (!row) return;
      tell(row, c, o);
      mark();
    },
    traded(symbol, price) {
      const row = it.rows.get(symbol);
      if (!row) return;
      tell(row, price, row.open);
      mark();
    },
    choose(symbol) {
      const row = it.rows.get(symbol);
      if (it.current) attribute(it.current.element, "aria-selected", "false");
      it.current = row;
      if (!row) return;
      attribute(row.element, "aria-selected", "true");
      attribute(list, "aria-activedescendant", row.element.id);
      // Once per choice, never in a frame's render.
      row.element.scrollIntoView({ block: "nearest" });
    },
    // The symbol `by` places further among those that the search leaves.
    beside(by) {
      const left = it.order.filter(({ element }) => !element.hidden);
      const at = left.indexOf(it.current);
      const index = at < 0 ? 0 : Math.max(0, Math.min(left.length - 1, at + by));
      return left[index]?.instrument.symbol;
    },
    endSearch() {
      search.value = "";
      filter(it);
      list.focus();
      it.current?.element.scrollIntoView({ block: "nearest" });
    },
  };
}

function row(instrument) {
  const element = document.createElement("div");
  element.id = `symbol-${instrument.symbol}`;
  element.setAttribute("role", "option");
  element.setAttribute("aria-selected", "false");
  const name = document.createElement("span");
  name.className = "name";
  const base = document.createElement("b");
  base.textContent = instrument.base;
  const quote = document.createElement("span");
  quote.textContent = ` / ${instrument.quote}`;
  name.append(base, quote);
  const line = document.createElementNS(SVG, "svg");
  line.setAttribute("aria-hidden", "true");
  line.append(document.createElementNS(SVG, "path"));
  const price = document.createElement("span");
  price.className = "price";
  price.textContent = "–";
  const change = document.createElement("span");
  change.className = "change";
  change.textContent = "–";
  element.append(name, line, price, change);
  const it = { instrument, element, line, price, change, points: undefined, last: undefined, open: undefined, isSeen: false };
  element.row = it;
  return it;
}

function filter(it) {
  const wanted = search.value.trim().toUpperCase();
  let left = 0;
  for (const { instrument, element } of it.order) {
    element.hidden = !instrument.symbol.includes(wanted);
    left += !element.hidden;
  }
  none.hidden = left > 0 || !it.order.length;
}

function tell(row, last, open) {
  if (row.last === last && row.open === open) return;
  row.last = last;
  row.open = open;
  row.isNew = true;
}

// Prices of all symbols at once: the stream only names those that change.
async function begin(it, mark) {
  const { signal } = it;
  const found = await insist(`${it.path}api/v3/ticker/24hr?type=MINI`, { signal, firstMs: 1000 });
  if (signal.aborted || !found) return;
  for (const { symbol, lastPrice, openPrice } of found) {
    const row = it.rows.get(symbol);
    if (row && row.last === undefined) tell(row, lastPrice, openPrice);
  }
  mark();
}

// A row that somebody sees wants its line, a few at a time.
function wish(it, row, mark) {
  if (row.points || row.isWished) return;
  row.isWished = true;
  it.queue.push(row);
  next(it, mark);
}

async function next(it, mark) {
  const { signal } = it;
  if (it.asking >= ASKING_MAX || !it.queue.length) return;
  const row = it.queue.shift();
  it.asking += 1;
  const symbol = encodeURIComponent(row.instrument.symbol);
  const path = `${it.path}api/v3/klines?symbol=${symbol}&interval=${LINE_INTERVAL}&limit=${LINE_POINTS}`;
  const found = await insist(path, { signal, firstMs: 1000 });
  if (signal.aborted) return;
  it.asking -= 1;
  row.points = found?.map(([, , , , close]) => Number(close)) ?? [];
  row.until = (found?.at(-1)?.[0] ?? 0) + LINE_INTERVAL_MS;
  // Where a venue sends no statistics, the last close is what is known.
  if (row.last === undefined && found?.length) tell(row, found.at(-1)[4], undefined);
  row.isNew = true;
  mark();
  next(it, mark);
}

function draw(it) {
  for (const row of it.order) {
    if (!row.isSeen || !row.isNew) continue;
    row.isNew = false;
    const { instrument, price, change, last, open } = row;
    if (last === undefined) continue;
    const moved = open === undefined ? undefined : percent(units(last), units(open));
    write(price, trim(last, instrument.pricePlaces));
    write(change, arrow(moved));
    attribute(change, "data-direction", direction(moved));
    trace(row, direction(moved));
  }
}

function trace(row, way) {
  const { points, line } = row;
  if (!points?.length) return;
  const now = Date.now();
  if (now > row.until) {
    points.push(points.at(-1));
    points.splice(0, points.length - LINE_POINTS);
    row.until += LINE_INTERVAL_MS * Math.ceil((now - row.until) / LINE_INTERVAL_MS);
  }
  points[points.length - 1] = Number(row.last);
  const low = Math.min(...points);
  const span = Math.max(...points) - low || 1;
  const x = (index) => (1 + (index / Math.max(points.length - 1, 1)) * (LINE_WIDTH - 2)).toFixed(1);
  // Whole half pixels: a change that nobody could see is none.
  const y = (value) => 2 + Math.round((1 - (value - low) / span) * (LINE_HEIGHT - 4) * 2) / 2;
  attribute(line.firstChild, "d", `M${points.map((value, index) => `${x(index)} ${y(value)}`).join("L")}`);
  attribute(line, "data-direction", way);
}
