// What a frame costs the browser: from a trace of the renderer's main thread.

import { demand } from "./asked.mjs";

const SECONDS = 5;
const LONG_US = 50_000;
const ROUNDS = 3;
const CATEGORIES = ["devtools.timeline", "devtools.timeline.frame", "disabled-by-default-devtools.timeline", "toplevel", "cc"];

// At most one layout and one paint in each frame, and no long task that an empty page, traced beside it, has not as well.
export async function frames(browser, context, page, url) {
  const empty = await context.newPage();
  // A document of this server with nothing in it, which asks for frames as well.
  await empty.goto(`${url}page/icon.svg`);
  await empty.evaluate(() => {
    const again = () => requestAnimationFrame(again);
    again();
  });
  let told = "";
  for (let round = 1; ; round += 1) {
    const idle = measure(await traced(browser, empty));
    await page.bringToFront();
    const busy = measure(await traced(browser, page));
    demand(busy.frames > 5 && busy.layouts > 5, `the page is drawn: ${busy.frames} frames, ${busy.layouts} layouts`);
    demand(busy.layoutsMost <= 1, `at most one layout in a frame, not ${busy.layoutsMost}`);
    demand(busy.paintsMost <= 1, `at most one paint in a frame, not ${busy.paintsMost}`);
    demand(!busy.forced.length, `no layout outside of a frame: ${JSON.stringify(busy.forced)}`);
    told = `${busy.frames} frames in ${SECONDS} s, ${busy.layouts} layouts, ${busy.paints} paints, main thread busy `
      + `${busy.busyMs.toFixed(0)} ms, longest task ${busy.longestMs.toFixed(1)} ms; long tasks: ${busy.long} `
      + `(${busy.longOfOwn} of them by the thread's own time, which was ${busy.longestOwnMs.toFixed(1)} ms at most), empty page: ${idle.long} (${idle.longOfOwn})`;
    if (busy.long <= idle.long) break;
    // A core that is taken away makes any task long: what counts then is the time that the thread itself has used.
    demand(round < ROUNDS || busy.longOfOwn <= idle.longOfOwn, `no long task beyond those of an empty page: ${told}`);
    if (round === ROUNDS) break;
  }
  await empty.close();
  return told;
}

async function traced(browser, page) {
  await page.bringToFront();
  await browser.startTracing(page, { categories: CATEGORIES });
  await page.waitForTimeout(SECONDS * 1000);
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const own = traceEvents.find(({ name, args }) => name === "TracingStartedInBrowser" && args.data)?.args.data.frames ?? [];
  const title = page.url();
  const frame = own.find((it) => it.url === title && !it.parent) ?? own.find((it) => !it.parent);
  const isMain = new Set(traceEvents.filter((it) => it.name === "thread_name" && it.args.name === "CrRendererMain").map(key));
  const main = traceEvents.filter((it) => isMain.has(key(it)) && (!frame?.processId || it.pid === frame.processId));
  return main.filter((it) => it.ts).sort((a, b) => a.ts - b.ts);
}

const key = ({ pid, tid }) => `${pid}.${tid}`;

function measure(events) {
  const whole = events.filter(({ ph }) => ph === "X");
  // A task in a task is the same task.
  const tasks = outermost(whole.filter(({ name }) => name === "RunTask"));
  const begins = whole.filter(({ name }) => name === "ProxyMain::BeginMainFrame");
  const inFrames = (found) => begins.map(({ ts, dur }) => found.filter((it) => it.ts >= ts && it.ts < ts + dur).length);
  // The trace begins and ends in the middle of something: a frame of which only a part was seen does not count.
  const [from, to] = [begins[0]?.ts ?? 0, begins.at(-1) ? begins.at(-1).ts + begins.at(-1).dur : 0];
  const layouts = whole.filter(({ name, ts }) => name === "Layout" && ts >= from && ts < to);
  // One paint has an event for each layer that it visits, and those of a walk lie in that of its root.
  const paints = outermost(whole.filter(({ name }) => name === "LocalFrameView::RunPaintLifecyclePhase" || name === "Paint"))
    .filter(({ name, args }) => name !== "Paint" || args.data?.nodeName === "#document");
  const [layoutCounts, paintCounts] = [inFrames(layouts), inFrames(paints)];
  return {
    frames: begins.length,
    layouts: layouts.length,
    paints: paints.length,
    layoutsMost: Math.max(0, ...layoutCounts),
    paintsMost: Math.max(0, ...paintCounts),
    forced: layouts.filter(({ ts }) => !begins.some((it) => ts >= it.ts && ts < it.ts + it.dur)).map(({ args }) => args),
    busyMs: tasks.reduce((sum, { dur }) => sum + dur, 0) / 1000,
    longestMs: Math.max(0, ...tasks.map(({ dur }) => dur)) / 1000,
    longestOwnMs: Math.max(0, ...tasks.map(({ tdur, dur }) => tdur ?? dur)) / 1000,
    long: tasks.filter(({ dur }) => dur > LONG_US).length,
    longOfOwn: tasks.filter(({ tdur, dur }) => (tdur ?? dur) > LONG_US).length,
  };
}

function outermost(found) {
  let end = -1;
  return found.filter(({ ts, dur }) => {
    if (ts < end) return false;
    end = ts + dur;
    return true;
  });
}
