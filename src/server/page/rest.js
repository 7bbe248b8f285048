// Requests. The page may lie behind a path of a proxy: everything is asked for relative to where this module came from.

const BASE = new URL("..", import.meta.url);
const PATIENCE_MS = 8000;

// The JSON at `path`; throws if the answer is not 200 or does not come in time.
export async function ask(path, { signal, headers } = {}) {
  const late = AbortSignal.timeout(PATIENCE_MS);
  const either = signal ? AbortSignal.any([signal, late]) : late;
  const answer = await fetch(new URL(path, BASE), { signal: either, headers, cache: "no-store" });
  if (!answer.ok) throw Object.assign(new Error(`${path}: ${answer.status}`), { status: answer.status });
  return answer.json();
}

// Asks until it is answered or `signal` says that nobody wants it any more (undefined then).
export async function insist(path, { signal, firstMs = 400, mostMs = 8000, failed } = {}) {
  for (let pauseMs = firstMs; !signal?.aborted; pauseMs = Math.min(2 * pauseMs, mostMs)) {
    try {
      return await ask(path, { signal });
    } catch (error) {
      if (signal?.aborted) break;
      failed?.(error);
    }
    await wait(pauseMs * (0.5 + Math.random()));
  }
  return undefined;
}

// The address of a socket at `path`.
export function socketAddress(path) {
  const url = new URL(path, BASE);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url;
}

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
