// Everyone: axe in both themes and on a phone, and everything by keyboard.

import { demand, until } from "./asked.mjs";

const WRONG = ["serious", "critical"];

export async function axe(page, source, what) {
  await page.evaluate(source);
  // What is old is dimmed, and too pale by axe's rules: a live page is what is judged. Others have nothing that gets old.
  const isLive = () => page.evaluate(() => (document.body.dataset.feed ?? "live") === "live" && (document.body.dataset.book ?? "live") === "live");
  await until("the page is live", isLive);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter(({ impact }) => WRONG.includes(impact));
  const words = serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target, failureSummary }) => `${target} ${failureSummary}`).join("; ")}`);
  demand(!serious.length, `axe, ${what}: ${words.join("\n")}`);
  return `${what}: ${passes.length} rules passed, ${violations.length} minor findings${violations.map(({ id }) => ` (${id})`).join("")}`;
}

export async function keyboard(page) {
  const hash = () => page.evaluate(() => location.hash);
  const becomes = (wanted) => until(`the address holds ${wanted}, not ${page.url()}`, async () => (await hash()) === wanted);
  await becomes("#binance/BTCUSDT/1m");
  await page.keyboard.press("j");
  await becomes("#binance/ETHUSDT/1m");
  await page.keyboard.press("ArrowDown");
  await becomes("#binance/BNBUSDT/1m");
  await page.keyboard.press("k");
  await page.keyboard.press("ArrowUp");
  await becomes("#binance/BTCUSDT/1m");
  await page.keyboard.press("3");
  await becomes("#binance/BTCUSDT/5m");
  await until("candles of five minutes", () => page.evaluate(() => document.getElementById("candles").ariaLabel.includes("BTCUSDT, 5m")));
  // There and back before the server has heard of it.
  await page.keyboard.press("4");
  await page.keyboard.press("2");
  await becomes("#binance/BTCUSDT/1m");
  await until("candles of a minute", () => page.evaluate(() => document.getElementById("candles").ariaLabel.includes("BTCUSDT, 1m")));

  await page.keyboard.press("/");
  await page.keyboard.type("shib");
  await until("one symbol is left", async () => (await page.locator("#list > [role=option]:visible").count()) === 1);
  await page.keyboard.press("Enter");
  await becomes("#binance/SHIBUSDT/1m");
  await until("the search has ended", async () => (await page.inputValue("#search")) === "");
  await page.keyboard.press("Home");
  await becomes("#binance/BTCUSDT/1m");
  await page.keyboard.press("End");
  await becomes("#binance/SHIBUSDT/1m");

  await page.keyboard.press("?");
  await page.locator("#dialog").waitFor({ state: "visible" });
  await page.keyboard.press("j");
  await page.keyboard.press("Escape");
  await page.locator("#dialog").waitFor({ state: "hidden" });
  await becomes("#binance/SHIBUSDT/1m");

  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  await page.keyboard.press("t");
  const first = await theme();
  await page.keyboard.press("t");
  demand(first !== (await theme()), "t turns the light on and off");

  // Everything that can be used is reached by Tab, and is seen to have the focus.
  const reached = new Set();
  await page.evaluate(() => document.activeElement.blur());
  for (let step = 0; step < 40; step += 1) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => {
      const it = document.activeElement;
      const style = getComputedStyle(it);
      return `${it.id || it.value || it.textContent.trim()}${style.outlineStyle === "none" ? " without a focus ring" : ""}`;
    }));
  }
  for (const wanted of ["list", "search", "candles", "group", "theme", "help", "1m"]) {
    demand(reached.has(wanted), `Tab reaches ${wanted}: ${[...reached].join(", ")}`);
  }
  await page.evaluate(() => document.activeElement.blur());
  return "symbols, intervals, search, help, theme; Tab reaches all";
}
