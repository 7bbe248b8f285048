"""ccxt and ccxt.pro: REST, then books, trades, tickers and candles over WebSocket, compared at rest."""

import asyncio
import math

import ccxt
import ccxt.pro

import market

SYMBOL, NATIVE = "BTC/USDT", "BTCUSDT"
OTHER = "ETH/USDT"
REST_URL = f"http://{market.ADDRESS}/api/v3"
# ccxt takes a connection for spot if its URL contains "/stream": behind /ws any path is allowed.
STREAM_URL = f"ws://{market.ADDRESS}/ws/stream"


def pointed_here(exchange):
    """The same client with the spot URLs of this server."""
    exchange.urls["api"]["public"] = REST_URL
    exchange.urls["api"].setdefault("ws", {})["spot"] = STREAM_URL
    exchange.options["fetchMarkets"] = {"types": ["spot"]}
    exchange.options["fetchCurrencies"] = False
    return exchange


def over_rest():
    client = pointed_here(ccxt.binance({"enableRateLimit": False}))
    found = client.load_markets()
    market.demand(SYMBOL in found and found[SYMBOL]["spot"], "load_markets lists the symbol as spot")
    market.demand(found[SYMBOL]["precision"]["price"] == 0.01, f"precision: {found[SYMBOL]['precision']}")
    book = client.fetch_order_book(SYMBOL, 100)
    market.demand(len(book["bids"]) == len(book["asks"]) == 100, "fetch_order_book gives 100 levels a side")
    market.demand(book["bids"][0][0] < book["asks"][0][0] and book["nonce"], "fetch_order_book is not crossed")
    trades = client.fetch_trades(SYMBOL, limit=200)
    ids = [int(trade["id"]) for trade in trades]
    market.demand(ids == list(range(ids[0], ids[0] + len(ids))), "fetch_trades (aggTrades) has contiguous ids")
    recent = client.fetch_trades(SYMBOL, limit=50, params={"fetchTradesMethod": "publicGetTrades"})
    market.demand(len(recent) == 50 and recent[-1]["side"] in ("buy", "sell"), "fetch_trades (trades)")
    price = client.fetch_last_prices([SYMBOL])[SYMBOL]["price"]
    best = client.fetch_bids_asks([SYMBOL])[SYMBOL]
    market.demand(best["bid"] < best["ask"] and abs(price / best["bid"] - 1) < 0.05, f"prices: {price} {best}")
    market.demand(abs(client.fetch_time() - market.time_ms()) < 10_000, "fetch_time")
    market.demand(set(client.fetch_tickers([SYMBOL, OTHER])) == {SYMBOL, OTHER}, "fetch_tickers of two")
    # A recording has only just begun: not every symbol has been told of.
    market.until("fetch_tickers of all symbols", lambda: set(client.fetch_tickers()) == set(client.load_markets()))
    return ohlcv(client)


def ohlcv(client):
    """Candles of several timeframes: contiguous, possible, and the coarse ones the sums of the fine ones."""
    found = {}
    for timeframe in ("1s", "1m", "5m", "15m", "1h", "1d"):
        # The newest one is still open.
        rows = client.fetch_ohlcv(SYMBOL, timeframe, limit=1000)[:-1]
        step = client.parse_timeframe(timeframe) * 1000
        for before, after in zip(rows, rows[1:]):
            market.demand(after[0] == before[0] + step, f"{timeframe}: a hole between {before} and {after}")
        for row in rows:
            _, o, h, l, c, v = row
            market.demand(0 < l <= min(o, c) and max(o, c) <= h and v >= 0 and row[0] % step == 0, f"{timeframe}: {row}")
        found[timeframe] = rows
    if market.IS_LIVE:
        market.demand(len(found["1m"]) >= 100 and len(found["1s"]) >= 1, f"history: {len(found['1m'])} minutes")
        since = found["1m"][-30][0]
        page = client.fetch_ohlcv(SYMBOL, "1m", since=since, limit=10)
        market.demand(page == found["1m"][-30:-20], "fetch_ohlcv since a time gives the rows from there")
    compared = sums(found["1m"], found["5m"], 5) + sums(found["5m"], found["15m"], 3) + sums(found["15m"], found["1h"], 4)
    market.demand(compared >= 20 or not market.IS_LIVE, f"only {compared} sums")
    return compared


def sums(fine, coarse, count):
    by_open = {row[0]: at for at, row in enumerate(fine)}
    compared = 0
    for opened, o, h, l, c, v in coarse:
        parts = fine[by_open[opened] :][:count] if opened in by_open else []
        if len(parts) < count:
            continue
        # A candle without trades carries the close on, which is no price of the sum.
        full = [row for row in parts if row[5]] or parts
        told = (full[0][1], max(row[2] for row in full), min(row[3] for row in full), full[-1][4])
        market.demand((o, h, l, c) == told, f"{opened}: {(o, h, l, c)}, its {count} parts say {told}")
        market.demand(math.isclose(v, sum(row[5] for row in parts), rel_tol=1e-9, abs_tol=1e-8), f"{opened}: volume {v}")
        compared += 1
    return compared


async def over_websocket():
    client = pointed_here(ccxt.pro.binance({"enableRateLimit": False, "newUpdates": True}))
    try:
        await client.load_markets()
        await asyncio.gather(*[
            asyncio.wait_for(call, market.PATIENCE_S) for call in (books(client), trades(client), best_prices(client), tickers(client), candles(client))
        ])
        return await at_rest(client)
    finally:
        await client.close()


async def books(client):
    """ccxt throws "out-of-order nonce" at the first hole."""
    last = 0
    for _ in range(40):
        book = await client.watch_order_book(SYMBOL)
        market.demand(book["nonce"] > last or last == 0, f"the nonce grows: {last}, {book['nonce']}")
        market.demand(book["bids"][0][0] < book["asks"][0][0], f"crossed at {book['nonce']}")
        last = book["nonce"]


async def trades(client):
    ids = []
    while len(ids) < 60:
        ids += [int(trade["id"]) for trade in await client.watch_trades(SYMBOL)]
    market.demand(ids == list(range(ids[0], ids[0] + len(ids))), f"watch_trades has contiguous ids: {ids}")


async def best_prices(client):
    for _ in range(40):
        best = (await client.watch_bids_asks([SYMBOL]))[SYMBOL]
        market.demand(best["bid"] < best["ask"] and best["bidVolume"] > 0, f"best prices: {best}")


async def tickers(client):
    """One symbol with everything, two in short, all in short."""
    for _ in range(3):
        told = await client.watch_ticker(SYMBOL, {"name": "ticker"})
        market.demand(told["bid"] < told["ask"] and told["low"] <= told["last"] <= told["high"], f"watch_ticker: {told}")
        market.demand(math.isclose(told["change"], told["last"] - told["open"], abs_tol=1e-6), f"watch_ticker: {told}")
    seen = set()
    while seen != {SYMBOL, OTHER}:
        seen |= set(await client.watch_tickers([SYMBOL, OTHER]))
    everything = set()
    while len(everything) < 4:
        # As !miniTicker@arr: what changed within a second.
        everything |= set(await client.watch_tickers())


async def candles(client):
    """Seconds follow each other, and are what fetch_ohlcv says afterwards."""
    heard = {}
    while len(heard) < 6:
        for row in await client.watch_ohlcv(SYMBOL, "1s"):
            heard[row[0]] = row
    minute = (await client.watch_ohlcv(SYMBOL, "1m"))[-1]
    market.demand(minute[3] <= minute[4] <= minute[2] and minute[0] % 60_000 == 0, f"watch_ohlcv: {minute}")
    at = sorted(heard)
    market.demand(at == list(range(at[0], at[-1] + 1, 1000)), f"watch_ohlcv has every second: {at}")
    rows = {row[0]: row for row in await client.fetch_ohlcv(SYMBOL, "1s", limit=1000)}
    for opened, row in heard.items():
        market.demand(rows.get(opened) == row, f"watch_ohlcv said {row}, fetch_ohlcv {rows.get(opened)}")


async def at_rest(client):
    """The kept book against REST. ccxt keeps what it fetched (1000 levels a side) and what the diffs brought."""
    book = await client.watch_order_book(SYMBOL)
    with market.rest():
        try:
            while True:
                book = await asyncio.wait_for(client.watch_order_book(SYMBOL), 3)
        except asyncio.TimeoutError:
            pass
        truth = market.depth(NATIVE)
        # The day as ccxt reads it, as it was written, and up to the newest trade, which is younger than the last push.
        fetched, raw = await client.fetch_ticker(SYMBOL), market.get(f"ticker/24hr?symbol={NATIVE}")
        newest = market.get(f"trades?symbol={NATIVE}&limit=1")[0]
    names = {"last": "lastPrice", "open": "openPrice", "high": "highPrice", "low": "lowPrice", "vwap": "weightedAvgPrice"}
    for name, written in {**names, "baseVolume": "volume", "quoteVolume": "quoteVolume"}.items():
        market.demand(fetched[name] == float(raw[written]), f"ticker at rest: {name}: {fetched[name]}, REST {raw}")
    market.demand((raw["lastPrice"], raw["lastId"]) == (newest["price"], newest["id"]), f"ticker at rest: {raw}, {newest}")
    market.demand(book["nonce"] == truth["lastUpdateId"], f"ids: {book['nonce']}, REST {truth['lastUpdateId']}")
    compared = 0
    for side in ("bids", "asks"):
        kept = [[float(price), float(quantity)] for price, quantity in book[side][:900]]
        told = [[float(price), float(quantity)] for price, quantity in truth[side][: len(kept)]]
        market.demand(len(kept) > 100 and kept == told, f"{side} differ from REST at {book['nonce']}")
        compared += len(kept)
    return compared


market.wait_for_books([NATIVE, "ETHUSDT"])
market.wait_for_history(NATIVE)
summed = over_rest()
levels = asyncio.run(over_websocket())
print(f"ccxt {ccxt.__version__}: REST and watch* agree, {summed} candles are their parts' sums, {levels} levels equal at rest")
