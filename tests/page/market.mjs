// A simulated exchange and a server that takes its feed, each a process of the built program, on loopback ports.

import { spawn } from "node:child_process";
import { readFileSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { demand, get, until } from "./asked.mjs";

export const SYMBOLS = [
  "BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "AVAXUSDT", "DOTUSDT", "LINKUSDT",
  "LTCUSDT", "BCHUSDT", "UNIUSDT", "ATOMUSDT", "ETCUSDT", "FILUSDT", "APTUSDT", "ARBUSDT", "ETHBTC", "SHIBUSDT",
];
export const SECOND = ["ETHUSDT", "BTCUSDT"];

export class Market {
  #program;
  #folder;
  #running = [];

  constructor(program, folder) {
    this.#program = program;
    this.#folder = folder;
  }

  // Both of them; `faults` are settings of the exchange.
  async open(faults) {
    this.exchange = this.#start("exchange", ["exchange", "--listen", "127.0.0.1:0", ...set(faults)]);
    const address = (await this.#said("exchange", /Streams +ws:\/\/([^/]+)\//))[1];
    const venue = (name, symbols) => `[[venues]]\nname = "${name}"\nkind = "binance"\nws_url = "ws://${address}"\n`
      + `rest_url = "http://${address}"\nsymbols = ${JSON.stringify(symbols)}\n`;
    writeFileSync(join(this.#folder, "venues.toml"), venue("binance", SYMBOLS) + venue("second", SECOND));
    await this.serve("127.0.0.1:0");
  }

  // Starts the server, at the address of the one before if there was one.
  async serve(listen = this.address) {
    const doors = { "server.listen": listen, "sbe.listen": "", "ops.listen": "127.0.0.1:0" };
    this.server = this.#start("server", ["serve", "--config", join(this.#folder, "venues.toml"), ...set(doors)]);
    this.address = (await this.#said("server", /Streams +ws:\/\/([^/]+)\//))[1];
    this.ops = (await this.#said("server", /Metrics +http:\/\/([^/]+)\//))[1];
    this.url = `http://${this.address}/`;
    await until("books and statistics of all symbols", async () => {
      const books = await Promise.all(SYMBOLS.map((symbol) => this.rest(`depth?symbol=${symbol}&limit=5`)));
      const days = await this.rest("ticker/24hr");
      return books.every((book) => book?.bids.length) && days?.length === SYMBOLS.length;
    });
  }

  rest(path) {
    return get(`${this.url}api/v3/${path}`);
  }

  // What a counter of the server has come to, over all its labels.
  async counted(name) {
    const text = await (await fetch(`http://${this.ops}/metrics`)).text();
    const rows = text.split("\n").filter((row) => row.startsWith(`${name}{`) || row.startsWith(`${name} `));
    demand(rows.length, `${name} is exported`);
    return rows.reduce((sum, row) => sum + Number(row.split(" ").at(-1)), 0);
  }

  async stopServer() {
    await end(this.server);
  }

  // While `body` runs, the exchange stands still.
  async atRest(body) {
    this.exchange.kill("SIGSTOP");
    try {
      return await body();
    } finally {
      this.exchange.kill("SIGCONT");
    }
  }

  async close() {
    for (const process of this.#running.reverse()) await end(process);
  }

  lastWords() {
    return readFileSync(join(this.#folder, "server.log"), "utf8").split("\n").slice(-15).join("\n");
  }

  #start(name, told) {
    const log = openSync(join(this.#folder, `${name}.log`), "w");
    const process = spawn(this.#program, told, { stdio: ["ignore", "ignore", log] });
    this.#running.push(process);
    return process;
  }

  async #said(name, what) {
    const process = this[name] ?? this.#running.at(-1);
    return until(`${name} starts`, () => {
      const text = readFileSync(join(this.#folder, `${name}.log`), "utf8");
      demand(process.exitCode === null, `${name} ended:\n${text}`);
      return text.match(what);
    });
  }
}

const set = (settings) => Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);

async function end(process) {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const gone = new Promise((resolve) => process.once("exit", resolve));
  process.kill("SIGCONT");
  process.kill("SIGTERM");
  await gone;
}
