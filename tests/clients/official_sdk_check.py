"""Binance's own SDK (binance-sdk-spot): typed REST, then streams over one connection with string ids."""

import asyncio
from importlib.metadata import version

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_common.constants import TimeUnit
from binance_sdk_spot.spot import Spot
from binance_sdk_spot.rest_api.models import ExchangeInfoResponse

import market

SYMBOL = "BTCUSDT"


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
    absent = {
        "ticker24hr": lambda: client.ticker24hr(symbol=SYMBOL),
        "klines": lambda: client.klines(symbol=SYMBOL, interval="1m"),
        "avg_price": lambda: client.avg_price(symbol=SYMBOL),
    }
    return [name for name, call in absent.items() if is_absent(call)]


def is_absent(call):
    try:
        call()
        return False
    except Exception as refusal:  # The SDK has a class for each status and no common one.
        market.demand(type(refusal).__name__ == "NotFoundError", f"{type(refusal).__name__}: {refusal}")
        return True


async def over_websocket(unit):
    url = f"ws://{market.ADDRESS}"
    configuration = ConfigurationWebSocketStreams(stream_url=url, time_unit=unit)
    client = Spot(config_ws_streams=configuration).websocket_streams
    await client.create_connection()
    heard = {"trade": [], "book": [], "diff": [], "partial": []}
    streams = {
        "trade": await client.trade(symbol=SYMBOL.lower()),
        "book": await client.book_ticker(symbol=SYMBOL.lower()),
        "diff": await client.diff_book_depth(symbol=SYMBOL.lower(), update_speed="100ms"),
        "partial": await client.partial_book_depth(symbol=SYMBOL.lower(), levels="5", update_speed="100ms"),
    }
    for name, stream in streams.items():
        stream.on("message", heard[name].append)
    for _ in range(market.PATIENCE_S * 10):
        if min(len(events) for events in heard.values()) >= 20:
            break
        await asyncio.sleep(0.1)
    listed = await client.list_subscribe()
    await streams["trade"].unsubscribe()
    await client.close_connection()
    counts = {name: len(events) for name, events in heard.items()}
    market.demand(min(counts.values()) >= 20, f"every stream speaks: {counts}")
    check(heard, unit)
    return counts, listed


def check(heard, unit):
    trades = [event.t for event in heard["trade"]]
    market.demand(trades == list(range(trades[0], trades[0] + len(trades))), f"trade ids: {trades}")
    digits = {TimeUnit.MICROSECOND: 16}.get(unit, 13)
    market.demand(len(str(heard["trade"][0].T)) == digits, f"{unit}: {heard['trade'][0].T}")
    for before, after in zip(heard["diff"], heard["diff"][1:]):
        market.demand(after.U == before.u + 1, f"the diffs tile: {before.u}, {after.U}")
    ends = {event.u: event for event in heard["diff"]}
    shared = [event for event in heard["partial"] if event.last_update_id in ends]
    market.demand(len(shared) >= len(heard["partial"]) - 2, "partial books and diffs share their ids")
    for event in heard["book"]:
        market.demand(float(event.b) < float(event.a), f"crossed: {event}")


market.wait_for_books([SYMBOL])
missing = over_rest()
for time_unit in (None, TimeUnit.MICROSECOND):
    told = asyncio.run(over_websocket(time_unit))
print(f"binance-sdk-spot {version('binance-sdk-spot')}: typed REST and streams agree, {told[0]}; not served: {', '.join(missing) or 'nothing'}")
