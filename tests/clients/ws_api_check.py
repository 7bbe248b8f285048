"""/ws-api/v3 with python-binance and Binance's own SDK: answers equal REST's, refusals have their codes, weight is told."""

import asyncio
from importlib.metadata import version

from binance import AsyncClient
from binance.exceptions import BinanceAPIException
from binance_common.configuration import ConfigurationWebSocketAPI
from binance_common.constants import TimeUnit
from binance_sdk_spot.spot import Spot

import market

SYMBOL = "BTCUSDT"
URL = f"ws://{market.ADDRESS}/ws-api/v3"

AsyncClient.API_URL = f"http://{market.ADDRESS}/api"
AsyncClient.WS_API_URL = URL


async def python_binance():
    client = await AsyncClient.create()
    try:
        market.demand(await client.ws_ping() == {}, "ws_ping")
        now = (await client.ws_get_time())["serverTime"]
        market.demand(abs(now - market.get("time")["serverTime"]) < 60_000, f"ws_get_time: {now}")
        oldest = market.get(f"historicalTrades?symbol={SYMBOL}&limit=100")[0]["id"]
        # What lies in the past is the same on both ways, however busy the market is.
        same = {
            f"historicalTrades?symbol={SYMBOL}&fromId={oldest}&limit=20": client.ws_get_historical_trades(
                symbol=SYMBOL, fromId=oldest, limit=20
            ),
        }
        for path, answer in same.items():
            told, expected = await answer, market.get(path)
            market.demand(told == expected and len(told) == 20, f"{path}: {told} is not {expected}")
        book = await client.ws_get_order_book(symbol=SYMBOL, limit=5)
        market.demand(len(book["bids"]) == len(book["asks"]) == 5, f"ws_get_order_book: {book}")
        listed = [it["symbol"] for it in (await client.ws_get_exchange_info(symbols=[SYMBOL, "ETHUSDT"]))["symbols"]]
        market.demand(listed == [SYMBOL, "ETHUSDT"], f"ws_get_exchange_info: {listed}")
        candles = await client.ws_get_klines(symbol=SYMBOL, interval="1m", limit=3)
        market.demand(candles and all(len(row) == 12 for row in candles), f"ws_get_klines: {candles}")
        tickers = await client.ws_get_orderbook_ticker(symbols=[SYMBOL, "ETHUSDT"])
        market.demand([it["symbol"] for it in tickers] == [SYMBOL, "ETHUSDT"], f"ws_get_orderbook_ticker: {tickers}")
        try:
            await client.ws_get_order_book(symbol="NOTHERE")
            market.demand(False, "an unknown symbol is refused")
        except BinanceAPIException as refusal:
            market.demand((refusal.status_code, refusal.code) == (400, -1121), f"{refusal}")
    finally:
        await client.close_connection()


async def official_sdk(unit, digits):
    configuration = ConfigurationWebSocketAPI(stream_url=URL, time_unit=unit)
    client = Spot(config_ws_api=configuration).websocket_api
    await client.create_connection()
    try:
        answer = await client.time()
        market.demand(len(str(answer.data().result.server_time)) == digits, f"time in {unit}: {answer.data()}")
        market.demand(answer.rate_limits and answer.rate_limits[0].count > 0, f"rateLimits: {answer.rate_limits}")
        depth = (await client.depth(symbol=SYMBOL, limit=7)).data().result
        market.demand(len(depth.bids) == 7 and depth.last_update_id > 0, f"depth: {depth}")
        recent = (await client.trades_recent(symbol=SYMBOL, limit=9)).data().result
        market.demand(len(recent) == 9, f"trades_recent: {recent}")
        candles = (await client.klines(symbol=SYMBOL, interval="1m", limit=2)).data().result
        market.demand(len(candles) >= 1, f"klines: {candles}")
        # Its model of exchange_info has no `result`, so there it cannot be asked: not even Binance would satisfy it.
        average = (await client.avg_price(symbol=SYMBOL)).data().result
        market.demand((average.mins, len(average.price.split(".")[1])) == (5, 8), f"avg_price: {average}")
    finally:
        await client.close_connection(close_session=True)


async def main():
    await python_binance()
    await official_sdk(None, 13)
    await official_sdk(TimeUnit.MICROSECOND, 16)


market.wait_for_books([SYMBOL, "ETHUSDT"])
market.until("a hundred trades", lambda: len(market.get(f"historicalTrades?symbol={SYMBOL}&limit=100")) == 100)
market.until("a candle", lambda: market.get(f"klines?symbol={SYMBOL}&interval=1m&limit=1"))
asyncio.run(main())
versions = ", ".join(f"{name} {version(name)}" for name in ("python-binance", "binance-sdk-spot"))
print(f"/ws-api/v3: {versions}: both get what REST says, refusals and weights")
