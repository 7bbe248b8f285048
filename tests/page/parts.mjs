// The page's own arithmetic and its book, without a browser: what a server that never loses a message cannot show.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { demand, until } from "./asked.mjs";

export async function parts(source) {
  // Node takes files named .js for modules where a package.json says so.
  const folder = mkdtempSync(join(tmpdir(), "tickcast-page-parts-"));
  try {
    cpSync(source, join(folder, "page"), { recursive: true });
    writeFileSync(join(folder, "package.json"), '{"type":"module"}');
    const from = (name) => import(pathToFileURL(join(folder, "page", name)));
    const count = decimals(await from("decimal.js"));
    scales(await from("scale.js"));
    await books(await from("book.js"));
    return `${count} decimals, axes, a book through holes, old snapshots and refusals`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function decimals({ arrow, brief, direction, hundredths, percent, places, ratio, text, trim, units }) {
  const cases = [
    [trim("86704.78000000", 2), "86704.78"],
    [trim("86704.78123000", 2), "86704.78123"],
    [trim("86704.00000000", 2), "86704.00"],
    [trim("100.00000000", 0), "100"],
    [trim("100", 0), "100"],
    [trim("0.00001834", 8), "0.00001834"],
    [trim("0.5", 4), "0.5"],
    [text(units("0.1") + units("0.2"), 1), "0.3"],
    [text(units("9007199254740993.00000001"), 2), "9007199254740993.00000001"],
    [text(units("-0.05000000"), 2), "-0.05"],
    [text(0n, 2), "0.00"],
    [text(units("12"), 0), "12"],
    [places("0.01000000"), 2],
    [places("1.00000000"), 0],
    [places("0.00000001"), 8],
    [percent(units("101"), units("100")), "1.00"],
    [percent(units("99.995"), units("100")), "-0.01"],
    [percent(units("100.004"), units("100")), "0.00"],
    [percent(units("1"), 0n), undefined],
    [hundredths(5n), "0.05"],
    [hundredths(-1234n), "-12.34"],
    [ratio(-5n, 2n), -3n],
    [ratio(5n, 2n), 3n],
    [brief("1151284684.75282880"), "1.151B"],
    [brief("38720.5"), "38.72K"],
    [brief("0.1200"), "0.12"],
    [brief("0.00123400"), "0.00123"],
    [brief("0.00000000"), "0"],
    [brief("999.99900000"), "999.99"],
    [arrow("0.42"), "▲ +0.42 %"],
    [arrow("-1.50"), "▼ −1.50 %"],
    [arrow("0.000").trim(), "0.000 %"],
    [arrow(undefined), "–"],
    [direction("-0.1"), "down"],
    [direction("0.000"), "flat"],
  ];
  for (const [is, wanted] of cases) demand(is === wanted, `${is} is ${wanted}`);
  return cases.length;
}

function scales({ ticks }) {
  const said = (places, ...told) => ticks(...told).map((it) => it.toFixed(places)).join(" ");
  const cases = [
    [said(0, 67150, 67290, 8), "67160 67180 67200 67220 67240 67260 67280"],
    // A market that hardly moves: no two lines say the same.
    [said(5, 0.051775, 0.051805, 8, 1e-5), "0.05178 0.05179 0.05180"],
    [said(2, 0.005, 0.035, 9, 0.01), "0.01 0.02 0.03"],
    [said(1, 0, 1.04, 5), "0.0 0.5 1.0"],
    [said(0, 5, 5, 4), ""],
  ];
  for (const [is, wanted] of cases) demand(is === wanted, `${is} is ${wanted}`);
}

async function books({ Book }) {
  const answers = [];
  let asked = 0;
  const fetched = globalThis.fetch;
  globalThis.fetch = async () => {
    asked += 1;
    const answer = await until("an answer is there", () => answers.shift());
    return { ok: answer.lastUpdateId !== undefined, status: 503, json: async () => answer };
  };
  try {
    const book = new Book(() => {});
    const diff = (U, u, b = [], a = []) => ({ U, u, b, a });
    const best = () => [book.bids[0]?.priceText, book.bids[0]?.sizeText, book.asks[0]?.priceText].join(" ");
    book.start("", "BTCUSDT");
    // Refused, then older than the first diff that was heard, then good: one diff is old, one overlaps, one follows.
    book.take(diff(95, 99, [["9.0", "1"]]));
    book.take(diff(100, 104, [["10.0", "2"]], [["11.0", "0.000"]]));
    book.take(diff(105, 106, [["10.5", "3"]]));
    answers.push({ code: -1001 }, { lastUpdateId: 90, bids: [], asks: [] });
    answers.push({ lastUpdateId: 101, bids: [["10.0", "1"], ["9.5", "7"]], asks: [["11.0", "1"], ["12.0", "4"]] });
    await until("the book is live", () => book.isLive);
    demand(asked === 3, `asked three times, not ${asked}`);
    demand(best() === "10.5 3 12.0" && book.bids[1].sizeText === "2" && book.bids.length === 3, `joined: ${best()}`);
    // Old news changes nothing; a level leaves, one comes between.
    book.take(diff(104, 106, [["10.5", "9"]]));
    book.take(diff(107, 107, [["10.5", "0.00000000"], ["9.8", "1"]], [["11.5", "6"]]));
    demand(best() === "10.0 2 11.5" && book.bids.map((it) => it.priceText).join() === "10.0,9.8,9.5", `applied: ${best()}`);
    // A hole: what is shown stays until there is a new book, and the diff behind the hole is part of it.
    book.take(diff(110, 111, [["10.2", "1"]]));
    demand(!book.isLive && book.resyncs === 1 && best() === "10.0 2 11.5", "a hole ends it");
    answers.push({ lastUpdateId: 109, bids: [["10.1", "1"]], asks: [["13.0", "1"]] });
    await until("the book is live again", () => book.isLive);
    demand(best() === "10.2 1 13.0" && book.lastUpdateId === 111, `joined again: ${best()}`);
    // Another symbol: an answer about the old one comes too late.
    book.start("", "ETHUSDT");
    book.clear();
    answers.push({ lastUpdateId: 500, bids: [["1.0", "1"]], asks: [] });
    await until("the late answer was read", () => !answers.length);
    await new Promise((resolve) => setImmediate(resolve));
    demand(!book.isLive && !book.bids.length, "nothing of the old symbol is shown");
  } finally {
    globalThis.fetch = fetched;
  }
}
