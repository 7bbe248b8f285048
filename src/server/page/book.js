// A local book by Binance's own rules ("How to manage a local order book correctly"): diffs are kept, a snapshot is asked for,
// what it already holds is dropped, and from then on every diff has to begin where the last one ended.

import { units } from "./decimal.js";
import { ask, wait } from "./rest.js";

const SNAPSHOT_LEVELS = 1000;
const DIFFS_MAX = 4000;
const RETRY_FIRST_MS = 250;
const RETRY_MOST_MS = 5000;

export class Book {
  // Best first: { price, size } exact, { priceText, sizeText } as they came, { at, amount } for pictures, and when it changed.
  bids = [];
  asks = [];
  isLive = false;
  lastUpdateId = 0;
  resyncs = 0;
  #changed;
  #waiting = [];
  #path;
  #round;

  constructor(changed) {
    this.#changed = changed;
  }

  // Begins anew. Diffs have to be coming in already, or to come soon.
  start(path, symbol) {
    this.#round?.abort();
    this.#round = new AbortController();
    this.#path = `${path}api/v3/depth?symbol=${encodeURIComponent(symbol)}&limit=${SNAPSHOT_LEVELS}`;
    this.#waiting = [];
    this.isLive = false;
    this.#changed();
    this.#join(this.#round.signal);
  }

  // Forgets what it knows; `start` follows.
  clear() {
    this.#round?.abort();
    this.bids = [];
    this.asks = [];
    this.isLive = false;
    this.#waiting = [];
    this.#changed();
  }

  // One event `depthUpdate`.
  take(diff) {
    if (!this.isLive) {
      this.#waiting.push(diff);
      if (this.#waiting.length > DIFFS_MAX) this.#waiting.shift();
      return;
    }
    if (diff.u <= this.lastUpdateId) return;
    if (diff.U > this.lastUpdateId + 1) {
      this.#resync(diff);
      return;
    }
    this.#apply(diff);
    this.#changed();
  }

  #resync(diff) {
    this.resyncs += 1;
    this.#round?.abort();
    this.#round = new AbortController();
    this.isLive = false;
    this.#waiting = [diff];
    this.#changed();
    this.#join(this.#round.signal);
  }

  async #join(signal) {
    for (let pauseMs = RETRY_FIRST_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, RETRY_MOST_MS)) {
      try {
        const snapshot = await ask(this.#path, { signal });
        if (signal.aborted) return;
        if (this.#fits(snapshot)) return;
      } catch {
        // Not there yet, or away: asked again.
      }
      await wait(pauseMs * (0.5 + Math.random()));
    }
  }

  // Whether the book is live with this snapshot: no diff is missing between it and those that were kept.
  #fits(snapshot) {
    const fresh = this.#waiting.filter((diff) => diff.u > snapshot.lastUpdateId);
    let last = snapshot.lastUpdateId;
    for (const diff of fresh) {
      if (diff.U > last + 1) return false;
      last = diff.u;
    }
    const now = performance.now();
    this.bids = snapshot.bids.map(([price, size]) => level(price, size, -Infinity));
    this.asks = snapshot.asks.map(([price, size]) => level(price, size, -Infinity));
    this.lastUpdateId = snapshot.lastUpdateId;
    for (const diff of fresh) this.#apply(diff, now);
    this.#waiting = [];
    this.isLive = true;
    this.#changed();
    return true;
  }

  #apply(diff, now = performance.now()) {
    for (const [price, size] of diff.b) put(this.bids, price, size, now, -1);
    for (const [price, size] of diff.a) put(this.asks, price, size, now, 1);
    this.lastUpdateId = diff.u;
  }
}

function level(priceText, sizeText, changedAt) {
  return {
    price: units(priceText),
    size: units(sizeText),
    priceText,
    sizeText,
    at: Number(priceText),
    amount: Number(sizeText),
    changedAt,
  };
}

// Puts a level at its place in `side`, whose prices rise (1) or fall (-1); a size of zero takes it away.
function put(side, priceText, sizeText, now, order) {
  const price = units(priceText);
  let low = 0;
  let high = side.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const before = order > 0 ? side[middle].price < price : side[middle].price > price;
    if (before) low = middle + 1;
    else high = middle;
  }
  const there = low < side.length && side[low].price === price;
  if (!/[1-9]/.test(sizeText)) {
    if (there) side.splice(low, 1);
    return;
  }
  side.splice(low, there ? 1 : 0, level(priceText, sizeText, now));
}
