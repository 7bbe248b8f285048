"""python-binance: REST, candles and statistics, every market socket, a depth cache at 100 ms and what REST says at rest."""

import asyncio
from importlib.metadata import version

from binance import AsyncClient, BinanceSocketManager, Client, DepthCacheManager
from binance.exceptions import BinanceAPIException
from binance.ws.streams import BinanceSocketManager as Manager

import candles
import market

SYMBOL = "BTCUSDT"
DIFFS = 60

for client_class in (Client, AsyncClient):
    client_class.API_URL = f"http://{market.ADDRESS}/api"
Manager.STREAM_URL = f"ws://{market.ADDRESS}/"


def over_rest():
    client = Client()
    market.demand(client.ping() == {}, "ping")
    market.demand(abs(client.get_server_time()["serverTime"] - market.time_ms()) < 10_000, "get_server_time")
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
    return statistics(client) + history(client)


def statistics(client):
    """Each is what REST writes, and possible in itself."""
    day = client.get_ticker(symbol=SYMBOL)
    market.demand(float(day["lowPrice"]) <= float(day["lastPrice"]) <= float(day["highPrice"]), f"get_ticker: {day}")
    market.demand(float(day["bidPrice"]) < float(day["askPrice"]) and day["count"] > 0, f"get_ticker: {day}")
    market.demand(isinstance(client.get_ticker(), list), "get_ticker of all symbols")
    average = client.get_avg_price(symbol=SYMBOL)
    market.demand(average["mins"] == 5 and float(average["price"]) > 0, f"get_avg_price: {average}")
    return 3


def history(client):
    """Rows by number, by time and through the pages of get_historical_klines are the same."""
    names = {"1m": Client.KLINE_INTERVAL_1MINUTE, "5m": Client.KLINE_INTERVAL_5MINUTE, "1h": Client.KLINE_INTERVAL_1HOUR}
    found = {}
    for interval, name in names.items():
        rows = [candles.of_row(row) for row in client.get_klines(symbol=SYMBOL, interval=name, limit=1000)[:-1]]
        found[interval] = candles.check(rows, interval, f"get_klines {interval}")
    charted = client.get_ui_klines(symbol=SYMBOL, interval=Client.KLINE_INTERVAL_1MINUTE, limit=1000)
    known = {it.open_time: it for it in found["1m"]}
    paged = client.get_historical_klines(SYMBOL, Client.KLINE_INTERVAL_1MINUTE, "90 minutes ago UTC")
    compared = 0
    for name, rows in (("get_ui_klines", charted), ("get_historical_klines", paged)):
        rows = candles.check([candles.of_row(row) for row in rows[:-1]], "1m", name)
        same = [it for it in rows if it.open_time in known]
        market.demand(same == [known[it.open_time] for it in same], f"{name} has other rows than get_klines")
        market.demand(len(same) >= 80 or not market.IS_LIVE, f"{name}: {len(same)} rows")
        compared += len(same)
    compared += candles.check_sums(found["1m"], found["5m"], "get_klines") + candles.check_sums(found["5m"], found["1h"], "get_klines")
    return compared


async def over_websocket():
    client = await AsyncClient.create()
    try:
        await asyncio.gather(multiplex(client), one_stream(client), seconds(client), tickers(client))
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


async def events(socket, count):
    """So many events of one socket."""
    async with socket as connection:
        return [await asyncio.wait_for(connection.recv(), market.PATIENCE_S) for _ in range(count)]


async def seconds(client):
    """Candles of a second: each is closed, and REST has the same row."""
    heard = await events(BinanceSocketManager(client).kline_socket(SYMBOL, "1s"), 6)
    market.demand(all(event["k"]["x"] for event in heard), "candles of a second are sent closed")
    told = candles.check([candles.of_stream(event["k"]) for event in heard], "1s", "kline_socket")
    rows = {row[0]: candles.of_row(row) for row in await client.get_klines(symbol=SYMBOL, interval="1s", limit=1000)}
    for it in told:
        market.demand(rows.get(it.open_time) == it, f"kline_socket said {it}, get_klines {rows.get(it.open_time)}")
    minute = (await events(BinanceSocketManager(client).kline_socket(SYMBOL), 1))[0]
    market.demand(minute["k"]["i"] == "1m" and minute["k"]["t"] % 60_000 == 0, f"kline_socket: {minute}")


async def tickers(client):
    """The arrays are never empty and say nothing twice; one symbol's say only that symbol's."""
    manager = BinanceSocketManager(client)
    arrays = {"24hrMiniTicker": manager.miniticker_socket(), "24hrTicker": manager.ticker_socket()}
    for kind, socket in arrays.items():
        for array in await events(socket, 3):
            market.demand(array and {it["e"] for it in array} == {kind}, f"{kind}: {array}")
            symbols = [it["s"] for it in array]
            market.demand(len(set(symbols)) == len(symbols), f"{kind}: {symbols}")
    for socket in (manager.symbol_ticker_socket(SYMBOL), manager.symbol_miniticker_socket(SYMBOL)):
        for event in await events(socket, 2):
            market.demand(event["s"] == SYMBOL and float(event["l"]) <= float(event["c"]) <= float(event["h"]), f"{event}")
    for event in await events(manager.aggtrade_socket(SYMBOL), 5):
        market.demand(event["l"] >= event["f"], f"{event}")


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


market.wait_for_books([it["symbol"] for it in market.until("a list", lambda: market.get("exchangeInfo"))["symbols"]])
market.wait_for_history(SYMBOL)
rows = over_rest()
levels = asyncio.run(over_websocket())
print(f"python-binance {version('python-binance')}: REST, {rows} rows, sockets and depth cache agree, {levels} levels equal")
