// One socket for everything: subscribes to what is wanted, and comes back by itself when it is lost.

import { socketAddress } from "./rest.js";

const BACKOFF_FIRST_MS = 300;
const BACKOFF_MOST_MS = 10_000;
const OPEN_WITHIN_MS = 8_000;
// A connection that lived this long was a good one: the next attempt is made at once.
const HEALTHY_MS = 5_000;
// Binance takes five messages a second from a client. A change is two; the browser's pongs count as well.
const CHANGE_EVERY_MS = 550;
// Without any message for this long what is shown may be old, though the connection stands.
const QUIET_MS = 10_000;

// `message(data, name)` for every event, `state(it)` whenever `state` or `retryAt` change, `ready(isNew)` when all that is
// wanted is subscribed to: by a new connection, or by a change on the old one.
export class Feed {
  state = "connecting";
  retryAt = 0;
  heardAt = 0;
  messages = 0;
  reconnects = -1;
  #told;
  #path = "";
  #wanted = new Set();
  #subscribed = new Set();
  #socket;
  #timer = 0;
  #pauseMs = BACKOFF_FIRST_MS;
  #openedAt = 0;
  #changedAt = 0;
  #changing = 0;
  #id = 0;

  constructor(told) {
    this.#told = told;
    setInterval(() => this.#look(), 1000);
    addEventListener("online", () => this.state === "away" && this.connect());
  }

  // From now on these streams, of the venue at `path`.
  want(path, names) {
    this.#wanted = new Set(names);
    const isFirst = !this.#socket && this.state === "connecting";
    if (path !== this.#path || isFirst) {
      this.#path = path;
      this.connect();
    } else if (this.#socket?.readyState === WebSocket.OPEN && !this.#changing) {
      const pauseMs = Math.max(0, this.#changedAt + CHANGE_EVERY_MS - performance.now());
      this.#changing = setTimeout(() => this.#change(), pauseMs);
    }
  }

  connect() {
    this.#drop();
    const url = socketAddress(`${this.#path}stream`);
    this.#subscribed = new Set(this.#wanted);
    url.search = `streams=${[...this.#wanted].map(encodeURIComponent).join("/")}`;
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#say("connecting");
    this.#timer = setTimeout(() => this.lost("no answer"), OPEN_WITHIN_MS);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#openedAt = this.heardAt = performance.now();
      this.reconnects += 1;
      this.#say("live");
      if (!this.#lacks()) this.#told.ready(true);
      else this.want(this.#path, this.#wanted);
    };
    socket.onmessage = (event) => {
      this.heardAt = performance.now();
      this.messages += 1;
      if (this.state === "quiet") this.#say("live");
      const message = JSON.parse(event.data);
      if (message.stream) this.#told.message(message.data, message.stream);
      else if (message.id === this.#id && !this.#lacks()) this.#told.ready(false);
    };
    socket.onclose = (event) => this.lost(event.reason);
  }

  // The connection is gone, or no good: tries again after a pause that grows and is never the same for two clients.
  lost() {
    const lived = this.#openedAt && performance.now() - this.#openedAt;
    this.#drop();
    if (lived > HEALTHY_MS) this.#pauseMs = BACKOFF_FIRST_MS;
    const pauseMs = this.#pauseMs * (0.5 + Math.random());
    this.#pauseMs = Math.min(2 * this.#pauseMs, BACKOFF_MOST_MS);
    this.#timer = setTimeout(() => this.connect(), pauseMs);
    this.retryAt = performance.now() + pauseMs;
    this.#say("away");
  }

  #change() {
    this.#changing = 0;
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const gone = [...this.#subscribed].filter((name) => !this.#wanted.has(name));
    const fresh = [...this.#wanted].filter((name) => !this.#subscribed.has(name));
    if (gone.length) this.#send("UNSUBSCRIBE", gone);
    if (fresh.length) this.#send("SUBSCRIBE", fresh);
    if (gone.length || fresh.length) this.#changedAt = performance.now();
    else this.#told.ready(false);
    this.#subscribed = new Set(this.#wanted);
  }

  #lacks() {
    return [...this.#wanted].some((name) => !this.#subscribed.has(name));
  }

  #send(method, params) {
    this.#id += 1;
    this.#socket.send(JSON.stringify({ method, params, id: this.#id }));
  }

  #look() {
    if (this.state === "live" && performance.now() - this.heardAt > QUIET_MS) this.#say("quiet");
  }

  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#changing);
    this.#changing = 0;
    this.#openedAt = 0;
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #say(state) {
    this.state = state;
    this.#told.state(this);
  }
}
