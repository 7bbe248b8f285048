// ws, node-binance-api (local depth cache) and Binance's own @binance/spot: books compared with REST at rest.

import { readFile } from "node:fs/promises";
import WebSocket from "ws";
import Binance from "node-binance-api";

// The SDK reads it once, and its information would stand between the summaries.
process.env.LOG_LEVEL ??= "error";
const { Spot } = await import("@binance/spot");

const address = process.env.TICKCAST;
const exchange = Number(process.env.TICKCAST_EXCHANGE_PID);
/** Set when a recording is served: the log that says when its last frame was. */
const replayLog = process.env.TICKCAST_REPLAY_LOG;
const PATIENCE_MS = 60_000;
/** Longer than the slowest diffs need to say their last word. */
const QUIET_MS = 2500;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const get = async (path) => (await fetch(`http://${address}/api/v3/${path}`)).json();

function fail(what) {
  console.error(`FAILED: ${what}`);
  process.exit(1);
}

function demand(holds, what) {
  if (!holds) fail(what);
}

async function until(what, holds) {
  for (let waited = 0; waited < PATIENCE_MS; waited += 100) {
    if (await holds()) return;
    await wait(100);
  }
  fail(`never happened: ${what}`);
}

/** A market at rest while `look` runs: a live exchange is stopped, a recording is waited for. */
async function atRest(look) {
  if (replayLog) {
    await until("the end of the recording", async () => (await readFile(replayLog, "utf8")).includes("frames were served"));
    await wait(QUIET_MS);
    return look();
  }
  process.kill(exchange, "SIGSTOP");
  try {
    await wait(QUIET_MS);
    return await look();
  } finally {
    process.kill(exchange, "SIGCONT");
  }
}

/** ws: acknowledgements byte for byte, a combined stream, a ping. */
async function plainWebSocket() {
  const socket = new WebSocket(`ws://${address}/stream?streams=`);
  const replies = [];
  const diffs = [];
  let pong = "";
  socket.on("pong", (payload) => (pong = payload.toString()));
  socket.on("message", (bytes) => {
    const text = bytes.toString();
    const { stream, data } = JSON.parse(text);
    if (!stream) return replies.push(text);
    demand(stream === "ethusdt@depth@100ms" && data.s === "ETHUSDT", `an event of another stream: ${text}`);
    demand(!diffs.length || data.U === diffs.at(-1).u + 1, `the diffs tile: ${diffs.at(-1)?.u}, ${data.U}`);
    diffs.push(data);
  });
  await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
  socket.send(JSON.stringify({ method: "SUBSCRIBE", params: ["ethusdt@depth@100ms"], id: 1 }));
  socket.send(JSON.stringify({ method: "LIST_SUBSCRIPTIONS", id: "a-b" }, null, 2));
  socket.ping("hello");
  await until("twenty diffs and a pong", () => diffs.length >= 20 && pong === "hello");
  demand(replies[0] === '{"result":null,"id":1}', replies[0]);
  demand(replies[1] === '{"result":["ethusdt@depth@100ms"],"id":"a-b"}', replies[1]);
  socket.close(1000);
  const [code] = await new Promise((resolve) => socket.on("close", (...told) => resolve(told)));
  demand(code === 1000, `closed with ${code}`);
}

/** node-binance-api: its own book, kept from REST and diffs. Numbers of more than 15 digits it reads as objects. */
async function depthCache() {
  const client = new Binance().options({
    urls: {
      base: `http://${address}/api/`,
      stream: `ws://${address}/ws/`,
      combineStream: `ws://${address}/stream?streams=`,
    },
  });
  let updates = 0;
  client.websockets.depthCache(["BTCUSDT"], () => { updates += 1; }, 1000);
  await until("forty updates of the cache", () => updates >= 40);
  const [cache, truth] = await atRest(async () => [client.depthCache.BTCUSDT, await get("depth?symbol=BTCUSDT&limit=5000")]);
  let compared = 0;
  for (const side of ["bids", "asks"]) {
    for (const [price, quantity] of truth[side].slice(0, 500)) {
      demand(cache[side][price] === Number(quantity), `${side} ${price}: ${cache[side][price]}, REST ${quantity}`);
      compared += 1;
    }
  }
  return compared;
}

/** @binance/spot: typed streams over one connection with string ids. */
async function officialSdk() {
  const client = new Spot({
    configurationRestAPI: { apiKey: "", basePath: `http://${address}`, retries: 0 },
    configurationWebsocketStreams: { wsURL: `ws://${address}` },
  });
  const book = await (await client.restAPI.depth({ symbol: "BTCUSDT", limit: 10 })).data();
  demand(book.bids.length === 10, `depth: ${JSON.stringify(book)}`);
  const connection = await client.websocketStreams.connect();
  const best = [];
  const trades = [];
  connection.bookTicker({ symbol: "btcusdt" }).on("message", (event) => best.push(event));
  connection.trade({ symbol: "btcusdt" }).on("message", (event) => trades.push(event));
  await until("thirty events of both streams", () => best.length >= 30 && trades.length >= 30);
  for (const event of best) demand(Number(event.b) < Number(event.a), `crossed: ${JSON.stringify(event)}`);
  for (let i = 1; i < best.length; i += 1) demand(best[i].u > best[i - 1].u, "u grows");
  for (let i = 1; i < trades.length; i += 1) demand(Number(trades[i].t) === Number(trades[i - 1].t) + 1, "trade ids are contiguous");
  await connection.disconnect();
}

await until("a book", async () => (await get("depth?symbol=BTCUSDT&limit=5")).bids?.length);
await plainWebSocket();
await officialSdk();
// Last: it waits for the market to rest, and a recording does not go on after that.
const levels = await depthCache();
const { dependencies } = JSON.parse(await readFile(new URL("package.json", import.meta.url), "utf8"));
const names = ["ws", "node-binance-api", "@binance/spot"].map((name) => `${name} ${dependencies[name]}`);
console.log(`${names.join(", ")}: acks, tiling and best prices agree, ${levels} levels equal at rest`);
process.exit(0);
