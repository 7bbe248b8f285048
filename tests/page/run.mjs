#!/usr/bin/env node
// The page's step of ./check: the live page behind / in a real Chromium, against the built program.
//
//     node tests/page/run.mjs [PROGRAM] [--pictures]
//
// PROGRAM is target/debug/tickcast unless given. --pictures draws docs/pictures/page-*.png anew. Needs Node 20 with npm, npm's
// registry unless an earlier run has installed the same packages below target/, and Chromium (CHROMIUM, else
// /usr/bin/chromium), which only root can install: without it the step is left out, and says so.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { axe, keyboard } from "./access.mjs";
import { demand, PATIENCE_MS, until } from "./asked.mjs";
import { equalsRest, groupsRight, neverCrossed, shown } from "./book.mjs";
import { docs } from "./docs.mjs";
import { frames } from "./frames.mjs";
import { Market, SECOND, SYMBOLS } from "./market.mjs";
import { parts } from "./parts.mjs";
import { pictures } from "./pictures.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, "../..");
const QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const DESKTOP = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
// The narrowest that anybody has, which is also a desktop at four times its size.
const NARROW = { width: 320, height: 640 };
// Lost messages, sixty times a minute: books are joined again all the time.
const FAULTS = { "exchange.gap_per_minute": 60 };

const told = process.argv.slice(2);
const program = resolve(told.find((it) => !it.startsWith("--")) ?? join(ROOT, "target/debug/tickcast"));
if (!existsSync(program)) stop(`page: ${program} is not there; build it first (cargo build)`);
const executablePath = chromiumPath();
if (!executablePath) {
  console.log("page: LEFT OUT: no Chromium (as root: apt-get install -y chromium)");
  process.exit(0);
}
const require = createRequire(join(install(), "package.json"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const began = Date.now();
const folder = mkdtempSync(join(tmpdir(), "tickcast-page-"));
const market = new Market(program, folder);
let browser;
try {
  await step("parts", () => parts(join(ROOT, "src/server/page")));
  await market.open(FAULTS);
  browser = await chromium.launch({ executablePath, args: ["--headless", "--no-sandbox", ...QUIET] });
  await checks();
  if (told.includes("--pictures")) await step("pictures", () => pictures(open, market.url, join(ROOT, "docs/pictures")));
  console.log(`page: all of it holds in Chromium ${browser.version()}, ${Math.round((Date.now() - began) / 1000)} s`);
} catch (error) {
  console.error(`page: ${error.stack}\npage: the server's last words:\n${market.lastWords()}`);
  process.exitCode = 1;
} finally {
  await browser?.close();
  await market.close();
  rmSync(folder, { recursive: true, force: true });
}

async function checks() {
  const desktop = await open({ viewport: DESKTOP, colorScheme: "dark" }, market.url);
  const { page } = desktop;
  // Whoever loads the page again loses this.
  await page.evaluate(() => (window.kept = "since the first load"));
  await step("live", () => live(page));
  await step("keyboard", () => keyboard(page));
  const samples = neverCrossed(page);
  samples.catch(() => {});
  await step("axe", async () => [await axe(page, axeSource, "dark"), ...(await others())].join("; "));
  await page.evaluate(() => (location.hash = "#binance/BTCUSDT/1m"));
  await until("BTCUSDT is back", async () => (await page.textContent("#symbol")) === "BTC / USDT");
  await step("frames", () => frames(browser, desktop.context, page, market.url));
  await step("venue resync", () => resync(page));
  await step("book", () => samples);
  await step("at rest", () => atRest(page, true));
  desktop.isAway = true;
  await step("server restart", () => restart(page));
  await step("at rest again", () => atRest(page));
  await step("venues", () => venues(page));
  demand((await page.evaluate(() => window.kept)) === "since the first load", "the page was never loaded again");
  demand(!desktop.wrong.length, desktop.wrong.join("; "));
  await desktop.context.close();
  const phone = await open({ viewport: PHONE });
  await step("documents", () => docs(phone.page, market.url, axeSource));
  await phone.context.close();
}

// A page with nothing of another one; what it complains about is kept in `wrong`.
async function open(options, url) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const it = { context, page, wrong: [], isAway: false };
  page.on("pageerror", (error) => it.wrong.push(String(error.stack)));
  // While the server is away the browser itself says that it cannot connect.
  const isNoise = (text) => it.isAway && /Failed to load resource|WebSocket connection to/.test(text);
  page.on("console", (message) => message.type() === "error" && !isNoise(message.text()) && it.wrong.push(message.text()));
  if (url) {
    await page.goto(url);
    await isLive(page);
  }
  return it;
}

async function isLive(page) {
  await until("the page is live", () => page.evaluate(() => document.body.dataset.feed === "live" && document.body.dataset.book === "live"));
  // On a phone the ladder may be out of sight, and is not drawn then.
  const seen = async () => JSON.stringify([await page.textContent("#last"), await shown(page)]);
  const before = await seen();
  await until("prices move", async () => (await seen()) !== before);
}

async function live(page) {
  await until(`${SYMBOLS.length} symbols with a price and a change`, async () => {
    const rows = await page.$$eval("#list > [role=option]", (found) => found.map((it) => it.textContent));
    return rows.length === SYMBOLS.length && rows.slice(0, 10).every((text) => /\d\.\d.*[▲▼].*%/.test(text) || /\d\.\d.* 0\.00 %/.test(text));
  });
  await until("lines of those in sight", () => page.$$eval("#list path", (found) => found.filter((it) => it.getAttribute("d")?.length > 100).length >= 10));
  const count = await until("candles", async () => Number((await page.getAttribute("#candles", "aria-label")).match(/, (\d+) of them/)?.[1] ?? 0) >= 60);
  demand(count, "an hour of candles");
  for (const id of ["candles", "depth"]) {
    await until(`something is drawn on ${id}`, () => page.evaluate(inked, id));
  }
  await until("the picture of the candles moves", () => page.evaluate(changes, "candles"));
  await until("trades", async () => (await page.$$eval("#tape .row", (rows) => rows.filter((it) => it.textContent).length)) > 10);
  await until("a latency", async () => /ms/.test(await page.textContent("#latency")));
  demand((await page.textContent("#state")) === "Live", "it says so");
  for (const id of ["last", "high", "low", "volume", "turnover"]) {
    demand(/\d/.test(await page.textContent(`#${id}`)), `${id} is known`);
  }
  return `${SYMBOLS.length} symbols, ${await page.textContent("#figures")}`;
}

// Shares of a canvas in at least three colours.
function inked(id) {
  const canvas = document.getElementById(id);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let at = 0; at < data.length; at += 4) if (data[at + 3]) colours.add(`${data[at]} ${data[at + 1]} ${data[at + 2]}`);
  return colours.size >= 3;
}

function changes(id) {
  const look = () => document.getElementById(id).toDataURL();
  const is = look() !== window.lookedLike;
  const isFirst = window.lookedLike === undefined;
  window.lookedLike = look();
  return is && !isFirst;
}

// Light, and a phone in both themes, panel by panel.
async function others() {
  const light = await open({ viewport: DESKTOP, colorScheme: "light" }, market.url);
  const found = [await axe(light.page, axeSource, "light")];
  await light.page.click("#help");
  found.push(await axe(light.page, axeSource, "help"));
  demand(!light.wrong.length, light.wrong.join("; "));
  await light.context.close();
  for (const colorScheme of ["light", "dark"]) {
    const phone = await open({ viewport: PHONE, colorScheme, hasTouch: true, isMobile: true }, market.url);
    for (const panel of ["markets", "chart", "book", "trades"]) {
      await phone.page.click(`[data-to=${panel}]`);
      await axe(phone.page, axeSource, `phone, ${colorScheme}, ${panel}`);
      for (const size of [NARROW, PHONE]) {
        await phone.page.setViewportSize(size);
        await fits(phone.page, size.width, panel);
      }
    }
    demand(!phone.wrong.length, phone.wrong.join("; "));
    await phone.context.close();
  }
  return [...found, "phone: four panels in both themes, in 320 and 390 pixels"];
}

// Nothing scrolls sideways. What is cut off at the side or ends in dots scrolls nothing, and is lost all the same.
async function fits(page, width, panel) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  demand(wide <= width, `${panel} scrolls sideways in ${width} pixels: ${wide}`);
  const cut = await page.$$eval("header *, nav *, .title *, .below", (all, right) => all
    .filter((it) => it.checkVisibility() && !it.closest(".unseen"))
    .filter((it) => it.getBoundingClientRect().right > right || it.scrollWidth > it.clientWidth + 1 && getComputedStyle(it).textOverflow === "ellipsis")
    .map((it) => it.id || it.className || it.textContent), width);
  demand(!cut.length, `${panel} is cut off in ${width} pixels: ${cut}`);
}

// The exchange loses messages: books are joined anew, and the page goes on as if nothing had been.
async function resync(page) {
  const before = await market.counted("tickcast_book_resyncs_total");
  await until("three more books joined again", async () => (await market.counted("tickcast_book_resyncs_total")) >= before + 3);
  await isLive(page);
  return `${await market.counted("tickcast_book_resyncs_total")} books joined again at the server, ${(await page.textContent("#figures")).match(/\d+ resyncs/)} at the page`;
}

// `isKnown`: all history has been fetched; before that statistics go on changing in a market that stands still.
async function atRest(page, isKnown) {
  return market.atRest(async () => {
    let rows = await equalsRest(page, market, "BTCUSDT");
    await groupsRight(page, market, "BTCUSDT");
    if (isKnown) await until("it says that there is no news", async () => (await page.textContent("#state")) === "Live, no news");
    for (const symbol of ["ETHBTC", "SHIBUSDT", "BTCUSDT"]) {
      await page.evaluate((it) => (location.hash = `#binance/${it}/1m`), symbol);
      rows += await equalsRest(page, market, symbol);
    }
    return `${rows} rows of 4 ladders are the book of /api/v3/depth`;
  });
}

async function restart(page) {
  await isLive(page);
  await market.stopServer();
  await until("it says that the server is away", async () => (await page.getAttribute("body", "data-feed")) === "away" && (await page.isVisible("#away")));
  const dimmed = await page.$eval("#ladder", (it) => Number(getComputedStyle(it).opacity));
  demand(dimmed < 1, `what is old is dimmed: ${dimmed}`);
  await market.serve();
  await isLive(page);
  demand(!(await page.isVisible("#away")), "the notice is gone");
  await until("trades go on", () => page.evaluate(changes, "candles"));
  return `back by itself; ${await page.textContent("#figures")}`;
}

async function venues(page) {
  await page.selectOption("#venue", "second");
  await until("the second venue's list", async () => (await page.$$("#list > [role=option]")).length === SECOND.length);
  await until("its first symbol", () => page.evaluate((symbol) => location.hash === `#second/${symbol}/1m`, SECOND[0]));
  await isLive(page);
  demand((await page.textContent("#example")) === `/second/ws/${SECOND[0].toLowerCase()}@depth@100ms`, "the stream that is named is this venue's");
  await page.evaluate(() => (location.hash = "#binance/SOLUSDT/15m"));
  await until("a link to another venue", async () => (await page.textContent("#symbol")) === "SOL / USDT");
  await isLive(page);
  return "both, by choice and by link";
}

async function step(name, body) {
  const began = Date.now();
  const words = await body();
  console.log(`page: ${name}, ${((Date.now() - began) / 1000).toFixed(1)} s: ${words}`);
}

// A folder with the pinned packages, made once for each state of package.json.
function install() {
  const text = readFileSync(join(HERE, "package.json"));
  const folder = join(ROOT, "target/page", createHash("sha256").update(text).digest("hex").slice(0, 16));
  if (existsSync(join(folder, "complete"))) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(HERE, "package.json"), join(folder, "package.json"));
  const told = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
  const done = spawnSync("npm", told, { cwd: folder, encoding: "utf8" });
  if (done.status !== 0) stop(`${done.stdout}${done.stderr}\npage: cannot install from npm (is there a network?)`);
  writeFileSync(join(folder, "complete"), "");
  return folder;
}

// Root installs one, which takes a while on a new machine.
function chromiumPath() {
  const path = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (existsSync(path)) return path;
  if (process.getuid() !== 0) return undefined;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const told of [["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "chromium"]]) {
    if (spawnSync("apt-get", told, { env }).status !== 0) return undefined;
  }
  return existsSync(path) ? path : undefined;
}

function stop(words) {
  console.error(words);
  process.exit(1);
}
