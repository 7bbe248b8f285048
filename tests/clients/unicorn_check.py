"""unicorn-binance: REST, 54 combined streams and SUBSCRIBE, and six local books that join, buffer and count gaps their own way."""

import logging
import os
import sys
import traceback
from importlib.metadata import version

from unicorn_binance_local_depth_cache import BinanceLocalDepthCacheManager
from unicorn_binance_rest_api import BinanceRestApiManager
from unicorn_binance_websocket_api import BinanceWebSocketApiManager, connection_settings

import candles
import market

EXCHANGE = "binance.com"
SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ETHBTC"]
CHANNELS = ["trade", "aggTrade", "kline_1s", "bookTicker", "depth", "depth5@100ms", "miniTicker", "ticker", "avgPrice"]
BETWEEN_SNAPSHOTS_S = 0.2
# The caches ask for 1000 levels a side: the best of these are known exactly, whatever has come and gone since.
KNOWN = 500

logging.disable(logging.ERROR)
BinanceRestApiManager.API_URL = f"http://{market.ADDRESS}/api"
streams_most = connection_settings.CONNECTION_SETTINGS[EXCHANGE][0]
connection_settings.CONNECTION_SETTINGS[EXCHANGE] = (streams_most, f"ws://{market.ADDRESS}/", f"ws://{market.ADDRESS}/ws-api/v3")


def rest_client():
    # `exchange` would put the real address back; with `tld` alone the class's own stays.
    return BinanceRestApiManager(tld="com", warn_on_update=False, disable_colorama=True)


def over_rest(client):
    before, after = (client.get_used_weight()["weight"] for _ in range(2))
    market.demand(after > before, f"get_used_weight: {before}, then {after}")
    listed = {it["symbol"] for it in client.get_exchange_info()["symbols"]}
    market.demand(listed == set(SYMBOLS), f"get_exchange_info: {listed}")
    rows = [candles.of_row(row) for row in client.get_historical_klines("BTCUSDT", "1m", "90 minutes ago UTC")[:-1]]
    return len(candles.check(rows, "1m", "get_historical_klines"))


def over_websocket():
    manager = BinanceWebSocketApiManager(exchange=EXCHANGE, warn_on_update=False, output_default="dict", disable_colorama=True)
    try:
        stream = manager.create_stream(CHANNELS, [symbol.lower() for symbol in SYMBOLS], stream_buffer_name="streams")
        wanted = {f"{symbol.lower()}@{channel}" for symbol in SYMBOLS for channel in CHANNELS}
        heard(manager, wanted)
        manager.subscribe_to_stream(stream, channels=["kline_1d@+08:00"])
        heard(manager, {f"{symbol.lower()}@kline_1d@+08:00" for symbol in SYMBOLS})
        return len(wanted) + len(SYMBOLS)
    finally:
        manager.stop_manager()


def heard(manager, wanted):
    """Until each of these streams has said something."""
    missing = set(wanted)

    def listen():
        while event := manager.pop_stream_data_from_stream_buffer("streams"):
            market.demand("error" not in event, f"{event}")
            missing.discard(event.get("stream"))
        return not missing

    market.until(f"an event of {sorted(missing)[:3]}", listen)


def books(client):
    manager = BinanceLocalDepthCacheManager(
        exchange=EXCHANGE, ubra_manager=client, depth_cache_update_interval=100, init_interval=BETWEEN_SNAPSHOTS_S,
        init_time_window=1, warn_on_update=False, disable_colorama=True,
    )
    manager.create_depthcache(markets=SYMBOLS)
    caches = manager.depth_caches
    is_joined = lambda: all(symbol.lower() in caches and manager.is_depth_cache_synchronized(symbol) for symbol in SYMBOLS)
    market.until("six synchronised books", is_joined)
    joined = {symbol: caches[symbol.lower()]["last_update_id"] for symbol in SYMBOLS}
    market.until("diffs after that", lambda: all(caches[it.lower()]["last_update_id"] > joined[it] for it in SYMBOLS))
    with market.rest():
        compared = 0
        for symbol in SYMBOLS:
            is_at_rest = lambda: caches[symbol.lower()]["last_update_id"] == market.depth(symbol, 5)["lastUpdateId"]
            market.until(f"{symbol} at REST's id", is_at_rest)
            compared += compare(manager, symbol)
        restarts = {symbol: manager.get_restart_count(symbol) for symbol in SYMBOLS}
    market.demand(not any(restarts.values()), f"no book had to start over: {restarts}")
    return compared


def compare(manager, symbol):
    truth = market.depth(symbol)
    compared = 0
    for side, kept in (("bids", manager.get_bids(symbol)), ("asks", manager.get_asks(symbol))):
        kept = dict(map(tuple, kept))
        told = {float(price): float(quantity) for price, quantity in truth[side][:KNOWN]}
        wrong = {price: (kept.get(price), quantity) for price, quantity in told.items() if kept.get(price) != quantity}
        market.demand(not wrong, f"{symbol}: {len(wrong)} {side} differ from REST, e.g. {list(wrong.items())[:3]}")
        worst = list(told)[-1]
        beyond = [price for price in kept if price not in told and (price > worst) == (side == "bids")]
        market.demand(not beyond, f"{symbol}: {side} that REST does not have: {beyond[:3]}")
        compared += len(told)
    return compared


def main():
    market.wait_for_books(SYMBOLS)
    market.wait_for_history("BTCUSDT")
    client = rest_client()
    counted = over_rest(client), over_websocket(), books(client)
    print(f"unicorn-binance {version('unicorn-binance-local-depth-cache')}: %d rows, %d streams, %d levels of six books equal" % counted)
    return 0


code = 1
try:
    code = main()
except SystemExit as failure:
    print(failure)
except Exception:
    traceback.print_exc()
finally:
    sys.stdout.flush()
    # The library's threads do not end by themselves.
    os._exit(code)
