"""python-binance: REST, a depth cache at 100 ms, a multiplex socket, and what its diffs and REST say at rest."""

import asyncio
import time
from importlib.metadata import version

from binance import AsyncClient, BinanceSocketManager, Client, DepthCacheManager
from binance.exceptions import BinanceAPIException
from binance.ws.streams import BinanceSocketManager as Manager

import market

SYMBOL = "BTCUSDT"
DIFFS = 60

for client_class in (Client, AsyncClient):
    client_class.API_URL = f"http://{market.ADDRESS}/api"
Manager.STREAM_URL = f"ws://{market.ADDRESS}/"


def over_rest():
    client = Client()
    market.demand(client.ping() == {}, "ping")
    market.demand(abs(client.get_server_time()["serverTime"] - time.time() * 1000) < 10_000, "get_server_time")
    tick = client.get_symbol_info(SYMBOL)["filters"][0]["tickSize"]
    market.demand(tick == "0.01000000", f"get_symbol_info: tickSize {tick}")
    book = client.get_order_book(symbol=SYMBOL, limit=500)
    market.demand(len(book["bids"]) == 500, f"get_order_book: {len(book['bids'])} bids of 500")
    aggregates = client.get_aggregate_trades(symbol=SYMBOL, limit=100)
    for before, after in zip(aggregates, aggregates[1:]):
        market.demand((after["a"], after["f"]) == (before["a"] + 1, before["l"] + 1), f"aggregates: {before} {after}")
    recent = client.get_recent_trades(symbol=SYMBOL, limit=100)
    older = client.get_historical_trades(symbol=SYMBOL, fromId=recent[10]["id"], limit=50)
    market.demand(older == recent[10:60], "get_historical_trades from an id equals get_recent_trades")
    tickers = {it["symbol"]: it for it in client.get_orderbook_tickers()}
    market.demand(float(tickers[SYMBOL]["bidPrice"]) < float(tickers[SYMBOL]["askPrice"]), f"{tickers[SYMBOL]}")
    prices = client.get_all_tickers()
    market.demand({it["symbol"] for it in prices} == set(tickers), "get_all_tickers lists every symbol")
    try:
        client.get_order_book(symbol="NOTHERE")
        market.demand(False, "an unknown symbol is refused")
    except BinanceAPIException as refusal:
        market.demand((refusal.status_code, refusal.code) == (400, -1121), f"{refusal}")
    absent = {
        "get_ticker (ticker/24hr)": lambda: client.get_ticker(symbol=SYMBOL),
        "get_avg_price (avgPrice)": lambda: client.get_avg_price(symbol=SYMBOL),
        "get_klines (klines)": lambda: client.get_klines(symbol=SYMBOL, interval="1m"),
        "get_ui_klines (uiKlines)": lambda: client.get_ui_klines(symbol=SYMBOL, interval="1m"),
    }
    return [name for name, call in absent.items() if is_absent(call)]


def is_absent(call):
    try:
        call()
        return False
    except BinanceAPIException as refusal:
        market.demand(refusal.status_code == 404, f"{refusal}")
        return True


async def over_websocket():
    client = await AsyncClient.create()
    try:
        await asyncio.gather(multiplex(client), one_stream(client))
        return await depth_cache(client)
    finally:
        await client.close_connection()


async def multiplex(client):
    names = ["btcusdt@aggTrade", "btcusdt@bookTicker", "ethusdt@depth5@100ms", "btcusdt@depth"]
    diffs, seen, last_best = [], set(), 0
    async with BinanceSocketManager(client).multiplex_socket(names) as socket:
        while len(diffs) < 4 or seen != set(names):
            event = await asyncio.wait_for(socket.recv(), market.PATIENCE_S)
            seen.add(event["stream"])
            data = event["data"]
            if event["stream"] == "btcusdt@bookTicker":
                market.demand(data["u"] > last_best and float(data["b"]) < float(data["a"]), f"best: {data}")
                last_best = data["u"]
            if event["stream"] == "btcusdt@depth":
                market.demand(not diffs or data["U"] == diffs[-1]["u"] + 1, "the slow diffs tile")
                diffs.append(data)


async def one_stream(client):
    ids = []
    async with BinanceSocketManager(client).trade_socket(SYMBOL) as socket:
        while len(ids) < 50:
            ids.append((await asyncio.wait_for(socket.recv(), market.PATIENCE_S))["t"])
    market.demand(ids == list(range(ids[0], ids[0] + len(ids))), f"trade ids: {ids}")


async def depth_cache(client):
    """python-binance asks for the snapshot before it connects and again at the first diff; afterwards never again."""
    asked = []
    get_order_book = client.get_order_book

    async def counted(**parameters):
        asked.append(parameters)
        return await get_order_book(**parameters)

    client.get_order_book = counted
    async with DepthCacheManager(client, SYMBOL, limit=5000, ws_interval=100, conv_type=str) as manager:
        for _ in range(DIFFS):
            cache = await asyncio.wait_for(manager.recv(), market.PATIENCE_S)
        joined = len(asked)
        market.demand(joined <= 2, f"the cache asked REST {joined} times for {DIFFS} diffs")
        with market.rest():
            try:
                while True:
                    cache = await asyncio.wait_for(manager.recv(), 3)
            except asyncio.TimeoutError:
                pass
            truth = market.depth(SYMBOL)
        market.demand(manager._last_update_id == truth["lastUpdateId"], "the cache has REST's last id")
    market.demand(len(asked) == joined, "no diff after the join made the cache start over")
    compared = 0
    for kept, told in ((cache._bids, truth["bids"]), (cache._asks, truth["asks"])):
        told = dict(map(tuple, told))
        wrong = {price: (kept.get(price), told.get(price)) for price in told if kept.get(price) != told[price]}
        market.demand(not wrong, f"{len(wrong)} levels differ from REST, e.g. {list(wrong.items())[:3]}")
        market.demand(kept.keys() == told.keys(), f"levels that REST does not have: {list(kept.keys() - told.keys())[:3]}")
        compared += len(told)
    return compared


market.wait_for_books([SYMBOL])
market.wait_for_books([it["symbol"] for it in market.get("exchangeInfo")["symbols"]])
missing = over_rest()
levels = asyncio.run(over_websocket())
print(f"python-binance {version('python-binance')}: REST, sockets and depth cache agree, {levels} levels equal; not served: {', '.join(missing) or 'nothing'}")
