// ws, node-binance-api (depth cache, candles, statistics) and Binance's own @binance/spot: held against REST, books at rest.

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

/** node-binance-api: candles by request and as they close, statistics of one symbol and of all. */
async function candlesAndStatistics() {
  const client = new Binance().options({
    urls: { base: `http://${address}/api/`, stream: `ws://${address}/ws/`, combineStream: `ws://${address}/stream?streams=` },
  });
  const closed = [];
  const days = [];
  const minis = [];
  client.websockets.candlesticks(["BTCUSDT"], "1s", ({ k }) => k.x && closed.push(k));
  client.websockets.prevDay(["BTCUSDT"], (_error, event) => days.push(event));
  client.websockets.miniTicker((markets) => minis.push(markets));
  await until("seconds that closed, and statistics", () => closed.length >= 5 && days.length >= 2 && minis.length >= 2);
  const rows = new Map((await get("klines?symbol=BTCUSDT&interval=1s&limit=1000")).map((row) => [row[0], row]));
  closed.forEach((k, i) => {
    demand(i === 0 || k.t === closed[i - 1].T + 1, `seconds follow each other: ${JSON.stringify(closed)}`);
    const told = [k.t, k.o, k.h, k.l, k.c, k.v, k.T, k.q, k.n, k.V, k.Q, "0"];
    demand(JSON.stringify(told) === JSON.stringify(rows.get(k.t)), `said ${told}, REST ${rows.get(k.t)}`);
  });
  for (const event of days) demand(Number(event.low) <= Number(event.close) && Number(event.close) <= Number(event.high), JSON.stringify(event));
  for (const markets of minis) demand(Object.keys(markets).length > 0, "an array is never empty");
  const minutes = await client.candlesticks("BTCUSDT", "1m", { limit: 100 });
  minutes.forEach((it, i) => {
    demand(i === 0 || it.openTime === minutes[i - 1].closeTime + 1, `minutes follow each other: ${JSON.stringify(it)}`);
    demand(Number(it.low) <= Number(it.close) && Number(it.close) <= Number(it.high), JSON.stringify(it));
  });
  return closed.length + minutes.length;
}

/** @binance/spot: typed REST, typed streams over one connection with string ids, the WebSocket API. */
async function officialSdk() {
  const client = new Spot({
    configurationRestAPI: { apiKey: "", basePath: `http://${address}`, retries: 0 },
    configurationWebsocketAPI: { apiKey: "", wsURL: `ws://${address}/ws-api/v3` },
    configurationWebsocketStreams: { wsURL: `ws://${address}` },
  });
  const symbol = "BTCUSDT";
  const book = await (await client.restAPI.depth({ symbol, limit: 10 })).data();
  demand(book.bids.length === 10, `depth: ${JSON.stringify(book)}`);
  const rows = await (await client.restAPI.klines({ symbol, interval: "1m", limit: 60 })).data();
  demand(rows.every((row) => row.length === 12), `klines: ${JSON.stringify(rows.at(-1))}`);
  const day = await (await client.restAPI.ticker24hr({ symbol })).data();
  demand(Number(day.lastId) - Number(day.firstId) + 1 === Number(day.count), `ticker24hr: ${JSON.stringify(day)}`);
  const average = await (await client.restAPI.avgPrice({ symbol })).data();
  demand(average.mins === 5 && Number(average.price) > 0, `avgPrice: ${JSON.stringify(average)}`);

  const connection = await client.websocketStreams.connect();
  const named = { symbol: "btcusdt" };
  const streams = {
    best: connection.bookTicker(named),
    trades: connection.trade(named),
    seconds: connection.kline({ ...named, interval: "1s" }),
    ticker: connection.ticker(named),
    rolling: connection.rollingWindowTicker({ ...named, windowSize: "4h" }),
    average: connection.avgPrice(named),
  };
  const heard = {};
  const least = { best: 30, trades: 30, seconds: 3, ticker: 2, rolling: 2, average: 2 };
  for (const [name, stream] of Object.entries(streams)) {
    heard[name] = [];
    stream.on("message", (event) => heard[name].push(event));
  }
  await until("events of every stream", () => Object.entries(least).every(([name, count]) => heard[name].length >= count));
  const { best, trades, seconds, ticker, rolling } = heard;
  for (const event of best) demand(Number(event.b) < Number(event.a), `crossed: ${JSON.stringify(event)}`);
  for (let i = 1; i < best.length; i += 1) demand(best[i].u > best[i - 1].u, "u grows");
  for (let i = 1; i < trades.length; i += 1) demand(Number(trades[i].t) === Number(trades[i - 1].t) + 1, "trade ids are contiguous");
  for (let i = 1; i < seconds.length; i += 1) demand(Number(seconds[i].k.t) === Number(seconds[i - 1].k.T) + 1, "seconds follow each other");
  for (const event of ticker) demand(Number(event.C) - Number(event.O) === 86_400_000, `ticker: ${JSON.stringify(event)}`);
  for (const event of rolling) demand(event.e === "4hTicker" && Number(event.O) % 60_000 === 0, `rolling: ${JSON.stringify(event)}`);
  await connection.disconnect();

  const api = await client.websocketAPI.connect();
  const twin = (await api.depth({ symbol, limit: 5 })).data;
  demand(twin.bids?.length === 5, `depth over the WebSocket API: ${JSON.stringify(twin)}`);
  const candles = (await api.klines({ symbol, interval: "1m", limit: 5 })).data;
  demand(candles.length >= 1 && candles[0].length === 12, `klines: ${JSON.stringify(candles)}`);
  await api.disconnect();
}

await until("a book", async () => (await get("depth?symbol=BTCUSDT&limit=5")).bids?.length);
await plainWebSocket();
const [told] = await Promise.all([candlesAndStatistics(), officialSdk()]);
// Last: it waits for the market to rest, and a recording does not go on after that.
const levels = await depthCache();
const { dependencies } = JSON.parse(await readFile(new URL("package.json", import.meta.url), "utf8"));
const names = ["ws", "node-binance-api", "@binance/spot"].map((name) => `${name} ${dependencies[name]}`);
console.log(`${names.join(", ")}: acks, tiling, prices and ${told} candles agree, ${levels} levels equal at rest`);
process.exit(0);
