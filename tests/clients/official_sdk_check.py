"""Binance's own SDK (binance-sdk-spot): typed REST, every stream over one connection with string ids, the WebSocket API."""

import asyncio
from importlib.metadata import version

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_common.constants import TimeUnit
from binance_sdk_spot.spot import Spot
from binance_sdk_spot.rest_api.models import ExchangeInfoResponse

import candles
import market

SYMBOL = "BTCUSDT"


def plain(answer):
    """What the SDK made of an answer, as the JSON it was made from."""
    return answer.to_dict() if hasattr(answer, "to_dict") else answer


def inner(answer):
    """The model that a "one of" holds, or the answer itself."""
    return getattr(answer, "actual_instance", None) or answer


def over_rest():
    configuration = ConfigurationRestAPI(api_key="", base_path=f"http://{market.ADDRESS}", retries=0)
    client = Spot(config_rest_api=configuration).rest_api
    information = client.exchange_info(symbol=SYMBOL).data()
    market.demand(isinstance(information, ExchangeInfoResponse), "exchange_info is typed")
    listed = information.symbols[0]
    market.demand((listed.symbol, listed.base_asset_precision) == (SYMBOL, 8), f"exchange_info: {listed}")
    book = client.depth(symbol=SYMBOL, limit=50).data()
    market.demand(len(book.bids) == 50 and book.last_update_id > 0, "depth has 50 bids")
    trades = client.get_trades(symbol=SYMBOL, limit=20).data()
    market.demand(len(trades.root if hasattr(trades, "root") else trades) == 20, "get_trades gives 20")
    day = inner(client.ticker24hr(symbol=SYMBOL).data())
    market.demand(float(day.low_price) <= float(day.last_price) <= float(day.high_price), f"ticker24hr: {day}")
    market.demand(day.last_id - day.first_id + 1 == day.count, f"ticker24hr: {day}")
    mini = inner(client.ticker24hr(symbol=SYMBOL, type="MINI").data())
    market.demand(getattr(mini, "bid_price", None) is None and float(mini.volume) > 0, f"ticker24hr MINI: {mini}")
    average = client.avg_price(symbol=SYMBOL).data()
    market.demand(average.mins == 5 and float(average.price) > 0, f"avg_price: {average}")
    window = inner(client.ticker(symbol=SYMBOL, window_size="30m").data())
    market.demand(window.open_time % 60_000 == 0 and window.count > 0, f"ticker: {window}")
    today = inner(client.ticker_trading_day(symbol=SYMBOL, time_zone="8").data())
    market.demand((today.open_time + 8 * candles.HOUR) % candles.DAY == 0, f"ticker_trading_day: {today}")
    rows = {}
    for name, call in {"klines": client.klines, "ui_klines": client.ui_klines}.items():
        answer = call(symbol=SYMBOL, interval="1m", limit=500).data()
        told = [[getattr(cell, "actual_instance", cell) for cell in row] for row in answer]
        rows[name] = candles.check([candles.of_row(row) for row in told[:-1]], "1m", name)
    market.demand(rows["klines"] == rows["ui_klines"] or not market.IS_LIVE, "ui_klines are klines")
    return len(rows["klines"])


async def over_websocket(unit):
    url = f"ws://{market.ADDRESS}"
    configuration = ConfigurationWebSocketStreams(stream_url=url, time_unit=unit)
    client = Spot(config_ws_streams=configuration).websocket_streams
    await client.create_connection()
    lower = SYMBOL.lower()
    calls = {
        "trade": (client.trade, {"symbol": lower}, 20),
        "aggregate": (client.agg_trade, {"symbol": lower}, 10),
        "book": (client.book_ticker, {"symbol": lower}, 20),
        "diff": (client.diff_book_depth, {"symbol": lower, "update_speed": "100ms"}, 20),
        "partial": (client.partial_book_depth, {"symbol": lower, "levels": "5", "update_speed": "100ms"}, 20),
        "second": (client.kline, {"symbol": lower, "interval": "1s"}, 4),
        "day": (client.kline_offset, {"symbol": lower, "interval": "1d"}, 1),
        "mini": (client.mini_ticker, {"symbol": lower}, 2),
        "minis": (client.all_mini_ticker, {}, 2),
        "ticker": (client.ticker, {"symbol": lower}, 2),
        "rolling": (client.rolling_window_ticker, {"symbol": lower, "window_size": "1h"}, 2),
        "rollings": (client.all_market_rolling_window_ticker, {"window_size": "4h"}, 2),
        "average": (client.avg_price, {"symbol": lower}, 2),
    }
    heard = {name: [] for name in calls}
    streams = {}
    for name, (call, parameters, _) in calls.items():
        streams[name] = await call(**parameters)
        streams[name].on("message", heard[name].append)
        # Five messages a second, with some to spare.
        await asyncio.sleep(0.15)
    for _ in range(market.PATIENCE_S * 10):
        if all(len(heard[name]) >= least for name, (_, _, least) in calls.items()):
            break
        await asyncio.sleep(0.1)
    await streams["trade"].unsubscribe()
    await client.close_connection()
    counts = {name: len(events) for name, events in heard.items()}
    market.demand(all(counts[name] >= least for name, (_, _, least) in calls.items()), f"every stream speaks: {counts}")
    check(heard, unit)
    return sum(counts.values())


def check(heard, unit):
    trades = [event.t for event in heard["trade"]]
    market.demand(trades == list(range(trades[0], trades[0] + len(trades))), f"trade ids: {trades}")
    scale, digits = (1000, 16) if unit == TimeUnit.MICROSECOND else (1, 13)
    market.demand(len(str(heard["trade"][0].T)) == digits, f"{unit}: {heard['trade'][0].T}")
    for before, after in zip(heard["aggregate"], heard["aggregate"][1:]):
        market.demand((after.a, after.f) == (before.a + 1, before.l + 1), f"aggregates: {before}, {after}")
    for before, after in zip(heard["diff"], heard["diff"][1:]):
        market.demand(after.U == before.u + 1, f"the diffs tile: {before.u}, {after.U}")
    ends = {event.u: event for event in heard["diff"]}
    shared = [event for event in heard["partial"] if event.last_update_id in ends]
    market.demand(len(shared) >= len(heard["partial"]) - 2, "partial books and diffs share their ids")
    for event in heard["book"]:
        market.demand(float(event.b) < float(event.a), f"crossed: {event}")
    ks = [event.k for event in heard["second"]]
    for before, after in zip(ks, ks[1:]):
        market.demand(after.t == before.T + 1 == before.t + 1000 * scale, f"seconds: {before}, {after}")
    market.demand(all(k.x for k in ks), "candles of a second are closed")
    day = heard["day"][0].k
    market.demand((day.t // scale + 8 * candles.HOUR) % candles.DAY == 0 and day.i == "1d", f"a day at UTC+8: {day}")
    for event in heard["ticker"]:
        market.demand(event.C - event.O == candles.DAY * scale and event.L - event.F + 1 == event.n, f"ticker: {event}")
    for event in heard["mini"]:
        market.demand(float(event.l) <= float(event.c) <= float(event.h), f"miniTicker: {event}")
    for event in heard["rolling"]:
        market.demand(event.e == "1hTicker" and event.O % (60_000 * scale) == 0, f"rolling: {event}")
    for event in heard["average"]:
        market.demand(event.i == "5m" and float(event.w) > 0, f"avgPrice: {event}")


async def over_api():
    """The same answers as REST, at rest, through another door."""
    configuration = ConfigurationWebSocketAPI(stream_url=f"ws://{market.ADDRESS}/ws-api/v3")
    client = Spot(config_ws_api=configuration).websocket_api
    await client.create_connection()
    with market.rest():
        # The slowest cadence has had its last word by then.
        await asyncio.sleep(2)
        told = {
            "depth": (await client.depth(symbol=SYMBOL, limit=20)).data().result,
            "trades.recent": (await client.trades_recent(symbol=SYMBOL, limit=10)).data().result,
            "ticker.24hr": inner((await client.ticker24hr(symbol=SYMBOL)).data()).result,
        }
        rows = (await client.klines(symbol=SYMBOL, interval="1m", limit=50)).data().result
        twins = {
            "depth": market.depth(SYMBOL, 20),
            "trades.recent": market.get(f"trades?symbol={SYMBOL}&limit=10"),
            "ticker.24hr": market.get(f"ticker/24hr?symbol={SYMBOL}"),
        }
        twin_rows = market.get(f"klines?symbol={SYMBOL}&interval=1m&limit=50")
    await client.close_connection()
    for name, result in told.items():
        result = [plain(it) for it in result] if isinstance(result, list) else plain(inner(result))
        market.demand(result == twins[name], f"{name}: {result}, REST {twins[name]}")
    cells = [[getattr(cell, "actual_instance", cell) for cell in row] for row in rows]
    # The newest one may begin between the two questions.
    market.demand(cells[:-2] == [row for row in twin_rows if row[0] <= cells[-3][0]][-len(cells) + 2 :], f"klines: {cells[-3:]}, REST {twin_rows[-3:]}")
    return len(told) + 1


market.wait_for_books([SYMBOL])
market.wait_for_history(SYMBOL)
fetched = over_rest()
units = (None, TimeUnit.MICROSECOND) if market.IS_LIVE else (None,)
events = sum(asyncio.run(over_websocket(unit)) for unit in units)
methods = asyncio.run(over_api())
print(
    f"binance-sdk-spot {version('binance-sdk-spot')}: typed REST, {fetched} rows, {events} events of 13 streams and "
    f"{methods} methods of the WebSocket API agree"
)
