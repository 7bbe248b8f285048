// Pictures for people, of the page as it is.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { until } from "./asked.mjs";
import { smaller } from "./png.mjs";

const PICTURES = [
  ["page-dark", { viewport: { width: 1280, height: 800 }, colorScheme: "dark" }, "#binance/BTCUSDT/1m"],
  ["page-light", { viewport: { width: 1280, height: 800 }, colorScheme: "light" }, "#binance/ETHUSDT/15m"],
  ["page-phone-chart", { viewport: { width: 390, height: 844 }, colorScheme: "dark" }, "#binance/SOLUSDT/5m", "chart"],
  ["page-phone-book", { viewport: { width: 390, height: 844 }, colorScheme: "light" }, "#binance/ETHBTC/1m", "book"],
];

export async function pictures(open, url, folder) {
  for (const [name, options, hash, panel] of PICTURES) {
    const { context, page } = await open(options, url + hash);
    if (panel) await page.click(`[data-to=${panel}]`);
    await until("lines of the symbols", () => page.evaluate((isPhone) => isPhone || document.querySelectorAll("#list path[d]").length >= 16, Boolean(panel)));
    await until("a full tape", () => page.evaluate((isPhone) => isPhone || [...document.querySelectorAll("#tape .row")].every((it) => it.textContent), Boolean(panel)));
    // Loading the page has kept its first messages waiting.
    await until("latency", async () => /^(< )?\d\d? ms$/.test(await page.textContent("#latency")));
    await page.mouse.move(2, 2);
    writeFileSync(join(folder, `${name}.png`), smaller(await page.screenshot()));
    await context.close();
  }
  return PICTURES.map(([name]) => `${name}.png`).join(", ");
}
