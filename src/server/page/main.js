// Joins the parts: one view (venue, symbol, interval), one socket, one book. The view is in the address bar.

import { Book } from "./book.js";
import { candles, INTERVALS } from "./candles.js";
import { arrow, brief, direction, places, trim } from "./decimal.js";
import { depth } from "./depth.js";
import { Feed } from "./feed.js";
import { mark as attribute, part, write } from "./frame.js";
import { keys } from "./keys.js";
import { ladder } from "./ladder.js";
import { latency } from "./latency.js";
import { ask, insist } from "./rest.js";
import { repaint } from "./surface.js";
import { symbols } from "./symbols.js";
import { tape } from "./tape.js";

// More symbols than this are too long a list, and too long a request line.
const SYMBOLS_MAX = 500;

const element = (id) => document.getElementById(id);
const view = { venue: undefined, path: "", instruments: new Map(), instrument: undefined, interval: "1m", last: undefined, day: undefined };
// Ends the requests of the venue, or of the symbol and interval, that nobody looks at any more.
let ofVenue = new AbortController();
let ofView = new AbortController();

const book = new Book(() => {
  markLadder();
  markDepth();
});
const feed = new Feed({ message, state: connection, ready });
const parts = {
  ladder: ladder(book),
  depth: depth(book),
  tape: tape(),
  candles: candles(),
  symbols: symbols((symbol) => {
    choose(symbol);
    if (document.body.dataset.panel === "markets") turn("chart");
  }),
  latency: latency(feed, book),
};
const markLadder = parts.ladder.mark;
const markDepth = parts.depth.mark;
const markQuote = part(drawQuote, 100);
const markConnection = part(drawConnection);

// One event of the socket.
function message(data, name) {
  if (Array.isArray(data)) {
    data.forEach(parts.symbols.take);
    return;
  }
  if (data.s !== view.instrument?.symbol) return;
  parts.latency.take(data.E);
  if (data.e === "depthUpdate") book.take(data);
  else if (data.e === "trade") traded(parts.tape.take(data), data.t);
  else if (data.e === "kline") parts.candles.take(data.k);
  else if (data.e === "24hrTicker") {
    view.day = data;
    view.last ??= data.c;
    markQuote();
  }
}

function traded(trade) {
  if (!trade) return;
  view.last = trade.price;
  parts.ladder.traded(trade.price, trade.direction);
  parts.candles.traded(trade.price);
  parts.symbols.traded(view.instrument.symbol, trade.price);
  markQuote();
}

// All streams are on: what they build on is asked for now, so that nothing can be missed between.
function ready(isNew) {
  const { instrument, path } = view;
  if (!instrument) return;
  const isOther = view.readySymbol !== instrument.symbol;
  if (isNew || isOther || !book.isLive) book.start(path, instrument.symbol);
  if (isNew || isOther) parts.tape.begin(path, ofView.signal).then(traded);
  if (isNew || isOther || view.readyInterval !== view.interval) parts.candles.begin(path, ofView.signal);
  if (isNew) parts.latency.forget();
  view.readySymbol = instrument.symbol;
  view.readyInterval = view.interval;
}

function streams() {
  const name = view.instrument?.symbol.toLowerCase();
  const own = name ? [`${name}@depth@100ms`, `${name}@trade`, `${name}@ticker`, `${name}@kline_${view.interval}`] : [];
  return ["!miniTicker@arr", ...own];
}

// Shows another symbol or interval; both as given in the address if they are there.
function choose(symbol, interval = view.interval) {
  const instrument = view.instruments.get(symbol) ?? view.instruments.values().next().value;
  if (!instrument) return;
  const isOther = instrument !== view.instrument;
  if (!isOther && interval === view.interval && view.isShown) return;
  view.isShown = true;
  view.instrument = instrument;
  view.interval = INTERVALS.includes(interval) ? interval : "1m";
  ofView.abort();
  ofView = new AbortController();
  if (isOther) {
    view.last = view.day = view.readySymbol = undefined;
    book.clear();
    parts.ladder.show(instrument);
    parts.depth.show(instrument);
    parts.tape.show(instrument);
    parts.symbols.choose(instrument.symbol);
  }
  view.readyInterval = undefined;
  parts.candles.show(instrument, view.interval);
  for (const button of element("intervals").children) attribute(button, "aria-pressed", String(button.value === view.interval));
  history.replaceState(null, "", `#${view.venue.name}/${instrument.symbol}/${view.interval}`);
  feed.want(view.path, streams());
  markQuote();
  begin24h(instrument);
}

// The stream of statistics speaks only of changes: what they are now is asked for.
async function begin24h({ symbol }) {
  try {
    const it = await ask(`${view.path}api/v3/ticker/24hr?symbol=${encodeURIComponent(symbol)}`, { signal: ofView.signal });
    if (view.instrument.symbol !== symbol || view.day) return;
    view.day = { c: it.lastPrice, P: it.priceChangePercent, h: it.highPrice, l: it.lowPrice, v: it.volume, q: it.quoteVolume };
    markQuote();
  } catch {
    // A venue without statistics, or a server that is away: the dashes stay.
  }
}

// Reads a venue's list, again and again until there is one, and shows a symbol of it.
async function visit(name, symbol, interval) {
  ofVenue.abort();
  ofVenue = new AbortController();
  const { signal } = ofVenue;
  const venue = venues.find((it) => it.name === name) ?? venues[0];
  Object.assign(view, { venue, path: venue.path, instruments: new Map(), instrument: undefined, isShown: false });
  element("venue").value = venue.name;
  parts.latency.watch(venue.path);
  book.clear();
  parts.symbols.show([], venue.path, signal);
  const info = await insist(`${venue.path}api/v3/exchangeInfo`, { signal, mostMs: 3000, failed: (error) => waiting(venue, error) });
  if (!info || signal.aborted) return;
  const found = info.symbols.filter(({ status }) => status === "TRADING").slice(0, SYMBOLS_MAX).map(instrument);
  view.instruments = new Map(found.map((it) => [it.symbol, it]));
  parts.symbols.show(found, venue.path, signal);
  choose(symbol, interval ?? view.interval);
}

function waiting(venue, error) {
  view.trouble = error.status === 503 ? `${venue.name} has not sent its list yet` : "The server does not answer yet";
  markConnection();
}

function instrument({ symbol, baseAsset, quoteAsset, filters }) {
  const filter = (type) => filters?.find(({ filterType }) => filterType === type);
  const tick = filter("PRICE_FILTER")?.tickSize ?? "0.00000001";
  const step = filter("LOT_SIZE")?.stepSize ?? "0.00000001";
  return { symbol, base: baseAsset, quote: quoteAsset, tick, pricePlaces: places(tick), sizePlaces: places(step) };
}

function drawQuote() {
  const { instrument: it, day, last } = view;
  if (!it) return;
  const price = last ?? day?.c;
  const shown = price === undefined ? "–" : trim(price, it.pricePlaces);
  write(element("symbol"), `${it.base} / ${it.quote}`);
  write(element("last"), shown);
  write(element("change"), arrow(day?.P === undefined ? undefined : trim(day.P, 2)));
  attribute(element("change"), "data-direction", direction(day?.P));
  const or = (text, how) => (text === undefined ? "–" : how(text));
  write(element("high"), or(day?.h, (text) => trim(text, it.pricePlaces)));
  write(element("low"), or(day?.l, (text) => trim(text, it.pricePlaces)));
  write(element("volume"), or(day?.v, (text) => `${brief(text)} ${it.base}`));
  write(element("turnover"), or(day?.q, (text) => `${brief(text)} ${it.quote}`));
  // The first venue is also at the root.
  const path = view.venue === venues[0] ? "" : view.path;
  write(element("example"), `/${path}ws/${it.symbol.toLowerCase()}@depth@100ms`);
  const title = `${shown} ${it.symbol} · Tickcast`;
  if (document.title !== title) document.title = title;
}

function connection() {
  markConnection();
  parts.latency.mark();
}

function drawConnection() {
  const { state } = feed;
  attribute(document.body, "data-feed", state);
  const words = { connecting: "Connecting", live: "Live", quiet: "Live, no news", away: "Away, trying again" };
  write(element("state"), view.trouble && state !== "away" && !view.instrument ? view.trouble : words[state]);
  const away = element("away");
  away.hidden = state !== "away" && !(state === "connecting" && feed.heardAt);
  if (away.hidden) return;
  const seconds = (ms) => Math.max(0, Math.round(ms / 1000));
  const now = performance.now();
  const age = feed.heardAt ? ` What is shown is ${seconds(now - feed.heardAt)} s old.` : "";
  const next = state === "away" ? `trying again in ${seconds(feed.retryAt - now)} s` : "trying now";
  write(away, `The server cannot be reached; ${next}.${age}`);
  clearTimeout(view.countdown);
  view.countdown = setTimeout(markConnection, 500);
}

function theme() {
  const { dataset } = document.documentElement;
  const isDark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  dataset.theme = isDark ? "light" : "dark";
  try {
    localStorage.setItem("tickcast.theme", dataset.theme);
  } catch {
    // It holds for this visit then.
  }
  repaint();
}

// Where there is room for one panel only.
function turn(panel) {
  document.body.dataset.panel = panel;
  for (const tab of document.querySelectorAll("[data-to]")) {
    if (tab.dataset.to === panel) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
}

function hash() {
  try {
    return decodeURIComponent(location.hash.slice(1)).split("/");
  } catch {
    // No address of ours: the first of everything then.
    return [];
  }
}

element("intervals").append(...INTERVALS.map((interval, index) => {
  const button = document.createElement("button");
  button.type = "button";
  button.value = button.textContent = interval;
  button.title = `Key ${index + 1}`;
  button.addEventListener("click", () => choose(view.instrument?.symbol, interval));
  return button;
}));
element("theme").addEventListener("click", theme);
element("venue").addEventListener("change", ({ target }) => visit(target.value));
for (const tab of document.querySelectorAll("[data-to]")) {
  tab.addEventListener("click", () => turn(tab.dataset.to));
}
addEventListener("hashchange", () => {
  const [name, symbol, interval] = hash();
  if (name === view.venue?.name) choose(symbol, interval);
  else visit(name, symbol, interval);
});
keys({
  choose: (by) => choose(parts.symbols.beside(by)),
  interval: (index) => INTERVALS[index] && choose(view.instrument?.symbol, INTERVALS[index]),
  zoom: parts.candles.zoom,
  step: parts.ladder.step,
  endSearch: parts.symbols.endSearch,
  theme,
});

// A server of Binance's format without this list has one venue, at its root.
const venues = await insist("page/venues.json", { mostMs: 3000, failed: markConnection }).then((it) => it.venues);
element("venue").append(...venues.map(({ name }) => new Option(name, name)));
element("venue").disabled = venues.length < 2;
visit(...hash());
