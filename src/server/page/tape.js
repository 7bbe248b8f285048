// The newest trades, newest first, in fixed rows.

import { trim } from "./decimal.js";
import { mark as attribute, part, write } from "./frame.js";
import { insist } from "./rest.js";
import { fill } from "./rows.js";

const ROW_PX = 20;
const KEPT = 80;

const body = document.getElementById("tape");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export function tape() {
  const rows = [];
  const it = { instrument: undefined, trades: [] };
  const mark = part(() => draw(rows, it), 100);
  new ResizeObserver(([{ contentRect }]) => {
    fill(body, rows, Math.min(Math.floor(contentRect.height / ROW_PX), KEPT));
    mark();
  }).observe(body);
  return {
    show(instrument) {
      it.instrument = instrument;
      it.trades = [];
      mark();
    },
    // What was traded before anyone listened.
    async begin(path, signal) {
      const asked = it.instrument;
      const found = await insist(`${path}api/v3/trades?symbol=${encodeURIComponent(asked.symbol)}&limit=${KEPT}`, { signal });
      if (!found || it.instrument !== asked) return undefined;
      const older = found.reverse().map((row) => trade(row.id, row.price, row.qty, row.time, row.isBuyerMaker));
      // After a lost connection the answer holds what was missed: it takes the place of what is older than it.
      it.trades = [...it.trades.filter(({ id }) => id > (older[0]?.id ?? -1)), ...older].slice(0, KEPT);
      mark();
      return it.trades[0];
    },
    take(data) {
      it.trades.unshift(trade(data.t, data.p, data.q, data.T, data.m));
      if (it.trades.length > KEPT) it.trades.length = KEPT;
      mark();
      return it.trades[0];
    },
  };
}

// A taker who hits a bid sells.
function trade(id, price, size, time, isBuyerMaker) {
  return { id, price, size, time, direction: isBuyerMaker ? "down" : "up" };
}

function draw(rows, { instrument, trades }) {
  if (!instrument) return;
  rows.forEach(({ element, cells: [price, size, time] }, index) => {
    const trade = trades[index];
    if (!trade) {
      for (const cell of [price, size, time]) write(cell, "");
      return;
    }
    trade.shown ??= {
      price: `${trade.direction === "up" ? "▲" : "▼"} ${trim(trade.price, instrument.pricePlaces)}`,
      size: trim(trade.size, instrument.sizePlaces),
      time: clock.format(trade.time),
    };
    write(price, trade.shown.price);
    write(size, trade.shown.size);
    write(time, trade.shown.time);
    attribute(element, "data-direction", trade.direction);
  });
}
