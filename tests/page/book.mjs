// The ladder against the book that REST tells, and against itself.

import { demand, until } from "./asked.mjs";

const SAMPLES = 500;
const PLACES = 18;

// Decimal text as an integer of 10^-18.
export function units(text) {
  const [whole, fraction = ""] = text.split(".");
  return BigInt(whole + fraction.padEnd(PLACES, "0"));
}

// What the ladder shows: rows of texts, best first.
export function shown(page) {
  return page.evaluate(() => {
    const side = (id) => [...document.querySelectorAll(`#${id} .row`)]
      .map((row) => [...row.querySelectorAll("[role=cell]")].map((cell) => cell.textContent))
      .filter(([price]) => price);
    return { bids: side("bids"), asks: side("asks") };
  });
}

// Looks at the ladder in five hundred frames that changed it, whatever else happens meanwhile: never crossed, each side in
// order.
export async function neverCrossed(page) {
  const samples = await page.evaluate((wanted) => new Promise((resolve) => {
    const found = [];
    const prices = (id) => [...document.querySelectorAll(`#${id} .row [role=cell]:first-of-type`)].map((cell) => cell.textContent).filter(Boolean);
    const ladder = document.getElementById("ladder");
    const look = () => {
      const sample = { bids: prices("bids"), asks: prices("asks") };
      // Another symbol's book is on its way.
      if (!sample.bids.length && !sample.asks.length) return;
      found.push(sample);
      if (found.length < wanted) return;
      watch.disconnect();
      resolve(found);
    };
    // Called after a frame's writes, before they are painted: every state that anyone could have seen is looked at.
    const watch = new MutationObserver(look);
    watch.observe(ladder, { subtree: true, characterData: true });
  }), SAMPLES);
  let distinct = 0;
  let before = "";
  for (const { bids, asks } of samples) {
    const [down, up] = [bids.map(units), asks.map(units)];
    demand(down.length && up.length, "both sides have levels");
    demand(down[0] < up[0], `crossed: ${bids[0]} bid, ${asks[0]} asked`);
    demand(down.every((price, index) => !index || price < down[index - 1]), `bids in order: ${bids}`);
    demand(up.every((price, index) => !index || price > up[index - 1]), `asks in order: ${asks}`);
    const text = `${bids} ${asks}`;
    distinct += text !== before;
    before = text;
  }
  demand(distinct > SAMPLES / 10, `the samples differ: ${distinct}`);
  return `${samples.length} samples, ${distinct} of them with other prices than the one before, none crossed`;
}

// A market at rest: price, size and running total of every row are those of REST, to the last digit.
export async function equalsRest(page, market, symbol) {
  let last;
  const rows = await until(`the ladder of ${symbol} is the book of REST`, async () => {
    const book = await market.rest(`depth?symbol=${symbol}&limit=5000`);
    const ladder = await shown(page);
    last = [book, ladder];
    return ["bids", "asks"].every((side) => sameSide(ladder[side], book[side])) && ladder.bids.length + ladder.asks.length;
  }).catch((error) => {
    const [book, ladder] = last;
    throw new Error(`${error.message}\nREST ${JSON.stringify(book.bids.slice(0, 4))}\npage ${JSON.stringify(ladder.bids.slice(0, 4))}`);
  });
  return rows;
}

function sameSide(rows, levels) {
  let total = 0n;
  return rows.length > 5 && rows.every(([price, size, sum], index) => {
    const level = levels[index];
    if (!level) return false;
    total += units(level[1]);
    return isText(price, level[0]) && isText(size, level[1]) && units(sum) === total;
  });
}

// The same text but for zeros at the end.
function isText(text, whole) {
  return whole.startsWith(text) && /^\.?0*$/.test(whole.slice(text.length));
}

// Rows of ten ticks: the sums of what REST tells, bids by the step below them and asks by the one above.
export async function groupsRight(page, market, symbol) {
  await page.selectOption("#group", "10");
  const { symbols } = await market.rest(`exchangeInfo?symbol=${symbol}`);
  const step = units(symbols[0].filters.find((it) => it.filterType === "PRICE_FILTER").tickSize) * 10n;
  await until(`rows of ten ticks of ${symbol}`, async () => {
    const book = await market.rest(`depth?symbol=${symbol}&limit=5000`);
    const ladder = await shown(page);
    return ["bids", "asks"].every((side) => {
      const sums = new Map();
      for (const [price, size] of book[side]) {
        const exact = units(price);
        const edge = side === "bids" ? (exact / step) * step : ((exact + step - 1n) / step) * step;
        sums.set(edge, (sums.get(edge) ?? 0n) + units(size));
      }
      const edges = [...sums.keys()];
      return ladder[side].length > 5 && ladder[side].every(([price, size], index) => units(price) === edges[index] && units(size) === sums.get(edges[index]));
    });
  });
  await page.selectOption("#group", "1");
}
