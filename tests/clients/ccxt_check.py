"""ccxt and ccxt.pro: REST, then an order book, trades and best prices over WebSocket, compared at rest."""

import asyncio
import time

import ccxt
import ccxt.pro

import market

SYMBOL, NATIVE = "BTC/USDT", "BTCUSDT"
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
    market.demand(abs(client.fetch_time() - time.time() * 1000) < 10_000, "fetch_time")
    missing = []
    for name, call in {
        "fetch_ticker (ticker/24hr)": lambda: client.fetch_ticker(SYMBOL),
        "fetch_ohlcv (klines)": lambda: client.fetch_ohlcv(SYMBOL, "1m"),
    }.items():
        try:
            call()
        except ccxt.BaseError:
            missing.append(name)
    return missing


async def over_websocket():
    client = pointed_here(ccxt.pro.binance({"enableRateLimit": False, "newUpdates": True}))
    try:
        await client.load_markets()
        await asyncio.gather(*[
            asyncio.wait_for(call, market.PATIENCE_S) for call in (books(client), trades(client), best_prices(client))
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
    market.demand(book["nonce"] == truth["lastUpdateId"], f"ids: {book['nonce']}, REST {truth['lastUpdateId']}")
    compared = 0
    for side in ("bids", "asks"):
        kept = [[float(price), float(quantity)] for price, quantity in book[side][:900]]
        told = [[float(price), float(quantity)] for price, quantity in truth[side][: len(kept)]]
        market.demand(len(kept) > 100 and kept == told, f"{side} differ from REST at {book['nonce']}")
        compared += len(kept)
    return compared


market.wait_for_books([NATIVE])
absent = over_rest()
levels = asyncio.run(over_websocket())
print(f"ccxt {ccxt.__version__}: REST and watch* agree, {levels} levels equal at rest; not served: {', '.join(absent) or 'nothing'}")
