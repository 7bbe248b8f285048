// What every check needs: to demand, to wait for a condition, to ask the server.

export const PATIENCE_MS = 60_000;

export function demand(holds, what) {
  if (!holds) throw new Error(`FAILED: ${what}`);
}

// Gives what `holds` gives once that is true.
export async function until(what, holds) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await holds();
    if (found) return found;
    if (Date.now() > end) throw new Error(`FAILED: never happened within ${PATIENCE_MS / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function get(url) {
  const answer = await fetch(url);
  return answer.ok ? answer.json() : undefined;
}
