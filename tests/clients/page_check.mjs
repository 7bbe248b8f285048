// The page behind / in Chromium: prices move, nothing is logged as an error, and it comes back after a lost connection.

import { chromium } from "playwright-core";

const address = process.env.TICKCAST;
const PATIENCE_MS = 60_000;
const QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];

function demand(holds, what) {
  if (holds) return;
  console.error(`FAILED: ${what}`);
  process.exit(1);
}

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--headless", "--no-sandbox", ...QUIET] });
const context = await browser.newContext({ viewport: { width: 390, height: 800 } });
const page = await context.newPage();
page.setDefaultTimeout(PATIENCE_MS);
const wrong = [];
page.on("pageerror", (error) => wrong.push(String(error)));
page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));

// The page's own socket, kept so that it can be cut.
await page.addInitScript(() => {
  const Plain = WebSocket;
  window.sockets = [];
  window.WebSocket = class extends Plain {
    constructor(...told) {
      super(...told);
      window.sockets.push(this);
    }
  };
});
const bid = () => page.textContent("#rows tr td:nth-child(2)");
const priceMoves = async () => {
  await page.waitForFunction(() => document.querySelector("#rows tr td:nth-child(2)")?.textContent);
  const before = await bid();
  await page.waitForFunction((text) => document.querySelector("#rows tr td:nth-child(2)").textContent !== text, before);
};

await page.goto(`http://${address}/`);
await page.waitForFunction(() => document.getElementById("state").textContent.startsWith("Live"));
await priceMoves();
const rows = await page.$$eval("#rows tr", (found) => found.length);
demand(rows === 6, `six symbols, not ${rows}`);
const width = await page.evaluate(() => document.documentElement.scrollWidth);
demand(width <= 390, `a phone scrolls sideways: ${width}`);
await page.evaluate(() => window.sockets[0].close());
await page.waitForFunction(() => window.sockets.length === 2 && window.sockets[1].readyState === 1);
await priceMoves();

// The page of /docs: made from both documents, and what it shows is really there.
await page.goto(`http://${address}/docs`);
await page.waitForFunction(() => document.getElementById("state").textContent.startsWith("Version"));
const described = await page.$$eval("details summary code", (found) => found.map((it) => it.textContent));
demand(described.includes("{symbol}@kline_{interval}") && described.includes("/api/v3/klines"), described.join(" "));
const said = async (name, text) => {
  const entry = page.locator("details", { has: page.locator("summary code", { hasText: new RegExp(`^${name}$`) }) }).first();
  await entry.locator("summary").click();
  await entry.locator("button").click();
  await page.waitForFunction(([it, part]) => it.textContent.includes(part), [await entry.locator("pre").last().elementHandle(), text]);
};
await said("\\{symbol\\}@bookTicker", '"B":"');
await said("/api/v3/klines", "200\n[[");
const docsWidth = await page.evaluate(() => document.documentElement.scrollWidth);
demand(docsWidth <= 390, `/docs scrolls sideways on a phone: ${docsWidth}`);
demand(!wrong.length, wrong.join("; "));
console.log(`page in Chromium ${browser.version()}: ${rows} symbols live, prices move, back after a lost connection; ${described.length} entries of /docs`);
await browser.close();
