// How old news is when it arrives, by the server's clock: from an event's time to now. Also the pulse: a server that does not
// answer is away, whatever the socket believes.

import { part, write } from "./frame.js";
import { ask } from "./rest.js";

const SAMPLES = 128;
const PROBES = 8;
// Fewer say too little about the clock.
const PROBES_LEAST = 3;
const PROBE_FIRST_MS = 300;
const PROBE_EVERY_MS = 10_000;
// Missed in a row before the connection is given up.
const MISSES_MAX = 2;

const element = document.getElementById("latency");
const figures = document.getElementById("figures");

const nowMs = () => performance.timeOrigin + performance.now();

export function latency(feed, book) {
  const it = { samples: new Float64Array(SAMPLES), count: 0, probes: [], path: "", misses: 0, heard: 0, heardAt: 0, rate: undefined };
  const mark = part(() => draw(it, feed, book), 500);
  setInterval(mark, 1000);
  probe(it, feed);
  return {
    mark,
    watch(path) {
      it.path = path;
    },
    // An event that was made at `time` (milliseconds of the server's clock).
    take(time) {
      const clock = offset(it);
      if (!clock || !time) return;
      it.samples[it.count % SAMPLES] = Math.max(0, nowMs() + clock.ms - time);
      it.count += 1;
      mark();
    },
    forget() {
      it.count = 0;
      mark();
    },
  };
}

async function probe(it, feed) {
  for (let made = 1; ; made += 1) {
    const sent = nowMs();
    try {
      const { serverTime } = await ask(`${it.path}api/v3/time`, { headers: { "X-MBX-TIME-UNIT": "MICROSECOND" } });
      const got = nowMs();
      // A server that does not know the header answers in milliseconds.
      const time = serverTime > 1e14 ? serverTime / 1000 : serverTime;
      it.probes.push({ ms: time - (sent + got) / 2, error: (got - sent) / 2 });
      if (it.probes.length > PROBES) it.probes.shift();
      it.misses = 0;
    } catch {
      it.misses += 1;
      if (it.misses >= MISSES_MAX && (feed.state === "live" || feed.state === "quiet")) {
        it.misses = 0;
        feed.lost();
      }
    }
    await new Promise((resolve) => setTimeout(resolve, made < PROBES || it.misses ? PROBE_FIRST_MS * Math.min(made, PROBES) : PROBE_EVERY_MS));
  }
}

// The probe with the shortest way knows best.
function offset({ probes }) {
  if (probes.length < PROBES_LEAST) return undefined;
  return probes.reduce((best, probe) => (best && best.error <= probe.error ? best : probe), undefined);
}

function draw(it, feed, book) {
  const clock = offset(it);
  const kept = it.samples.slice(0, Math.min(it.count, SAMPLES)).sort();
  const at = (share) => milliseconds(kept[Math.min(kept.length - 1, Math.floor(kept.length * share))]);
  write(element, kept.length && feed.state === "live" ? at(0.5) : "–");
  const now = performance.now();
  if (now - it.heardAt > 900) {
    it.rate = it.heardAt ? Math.round(((feed.messages - it.heard) * 1000) / (now - it.heardAt)) : undefined;
    [it.heard, it.heardAt] = [feed.messages, now];
  }
  const said = [
    kept.length ? `latency ${at(0.5)} median, ${at(0.95)} at 95 %` : "latency –",
    `${it.rate ?? "–"} messages/s`,
    clock ? `clock ± ${milliseconds(clock.error)}` : "clock –",
    `${Math.max(feed.reconnects, 0)} reconnects`,
    `${book.resyncs} resyncs`,
  ];
  write(figures, said.join(" · "));
}

const milliseconds = (ms) => (ms < 1 ? "< 1 ms" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
