// Where the time axis has words: at round instants of the reader's own clock.

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const STEPS = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400].map((s) => s * 1000);
const MONTHS = new Intl.DateTimeFormat(undefined, { month: "short" });

const two = (number) => String(number).padStart(2, "0");

// `rows` rise in time; `apart` is how many of them a label takes.
export function* instants(rows, apart) {
  if (rows.length < 2) return;
  const span = rows[1].time - rows[0].time;
  const least = span * apart;
  const step = STEPS.find((it) => it >= least);
  // Clocks are ahead of UTC by whole minutes, and the day begins at their midnight.
  const ahead = -new Date(rows.at(-1).time).getTimezoneOffset() * MINUTE;
  let before = -Infinity;
  for (const [index, { time }] of rows.entries()) {
    const local = time + ahead;
    const isRound = step ? Math.floor(local / step) !== Math.floor((local - span) / step) : index - before >= apart;
    if (!isRound || index - before < apart * 0.8) continue;
    before = index;
    yield { index, words: words(local, span, step) };
  }
}

function words(local, span, step) {
  const date = new Date(local);
  if (!step || step >= DAY || local % DAY < Math.min(span, DAY)) {
    const day = `${date.getUTCDate()} ${MONTHS.format(new Date(date.getUTCFullYear(), date.getUTCMonth(), 15))}`;
    return span >= 7 * DAY ? `${day} ${date.getUTCFullYear()}` : day;
  }
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
  return step < MINUTE ? `${clock}:${two(date.getUTCSeconds())}` : clock;
}
