// The page of /docs: made from both documents, and what it shows is really there.

import { axe } from "./access.mjs";
import { demand } from "./asked.mjs";

export async function docs(page, url, axeSource) {
  await page.goto(`${url}docs`);
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
  demand(!(await page.textContent("main")).includes(".invalid"), "a door that is closed has no address");
  await page.setViewportSize({ width: 320, height: 640 });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  demand(width <= 320, `/docs scrolls sideways on a phone: ${width}`);
  const found = [];
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    found.push(await axe(page, axeSource, colorScheme));
  }
  return `${described.length} entries; ${found.join("; ")}`;
}
