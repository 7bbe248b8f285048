"""Candles and statistics from three sides: our streams, our REST, the exchange's own REST and streams. (websockets)

The exchange makes its candles from the trades it knows, with other code than ours. What has closed is the same everywhere,
to the last digit; coarse candles are the sums of fine ones; statistics are what the candles of their window add up to.
"""

import asyncio
import json
from decimal import Decimal

import websockets

import candles
import market

SYMBOLS = ["BTCUSDT", "ETHUSDT", "ETHBTC"]
# Every interval below the days; of the others the present candle, and history as far as there is one.
ALL = "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M".split()
SECONDS = 8


async def closed(address, streams, enough):
    """Events with x:true by stream, until `enough` of them are; what comes twice has to be the same."""
    heard = {name: {} for name in streams}
    async with websockets.connect(f"ws://{address}/stream?streams={'/'.join(streams)}", max_size=None) as socket:
        deadline = asyncio.get_running_loop().time() + 2 * market.PATIENCE_S
        while not enough(heard):
            left = deadline - asyncio.get_running_loop().time()
            counts = {name: len(found) for name, found in heard.items()}
            market.demand(left > 0, f"candles at {address} that never closed: {counts}")
            try:
                event = json.loads(await asyncio.wait_for(socket.recv(), left))
            except asyncio.TimeoutError:
                continue
            k = event["data"]["k"]
            if not k["x"]:
                continue
            market.demand(k["t"] not in heard[event["stream"]], f"{event['stream']}: closed twice: {k}")
            heard[event["stream"]][k["t"]] = candles.of_stream(k)
    return heard


async def streams():
    """What closes while we look: every second, and one minute."""
    names = [f"{symbol.lower()}@kline_{interval}" for symbol in SYMBOLS for interval in ("1s", "1m")]

    def enough(heard):
        return all(len(found) >= (SECONDS if name.endswith("1s") else 1) for name, found in heard.items())

    ours, theirs = await asyncio.gather(closed(market.ADDRESS, names, enough), closed(market.EXCHANGE, names, enough))
    compared = 0
    for name in names:
        symbol, interval = name.split("@kline_")
        symbol = symbol.upper()
        heard = [ours[name][at] for at in sorted(ours[name])]
        candles.check(heard, interval, f"the stream {name}")
        rows = {it.open_time: it for it in candles.rows(symbol, interval, 1000)}
        own = {it.open_time: it for it in candles.rows(symbol, interval, 1000, market.EXCHANGE)}
        for it in heard:
            market.demand(rows.get(it.open_time) == it, f"{name}: REST has {rows.get(it.open_time)}, said was {it}")
            market.demand(own.get(it.open_time) == it, f"{name}: the exchange has {own.get(it.open_time)}, said was {it}")
            event = theirs[name].get(it.open_time)
            market.demand(event in (None, it), f"{name}: the exchange said {event}, we {it}")
            compared += 1 + (event is not None)
    return compared


def history():
    """Closed rows, ours against the exchange's, in every interval and in both zones."""
    compared = summed = 0
    for symbol in SYMBOLS:
        fine = {}
        for interval in ALL:
            for zone in ("", "&timeZone=8") if candles.LENGTH_MS.get(interval, candles.DAY) > candles.HOUR else ("",):
                ours = candles.rows(symbol, interval, 1000, more=zone)[:-1]
                theirs = {it.open_time: it for it in candles.rows(symbol, interval, 1000, market.EXCHANGE, more=zone)[:-1]}
                if not zone:
                    candles.check(ours, interval, f"REST {symbol} {interval}")
                    fine[interval] = ours
                for it in ours:
                    if it.open_time in theirs:
                        other = theirs[it.open_time]
                        market.demand(it == other, f"{symbol} {interval}{zone}: ours {it}, the exchange's {other}")
                        compared += 1
        for small, large in (("1s", "1m"), ("1m", "3m"), ("1m", "5m"), ("5m", "15m"), ("15m", "30m"), ("30m", "1h"), ("1h", "4h")):
            summed += candles.check_sums(fine[small], fine[large], f"REST {symbol} {large}")
    market.demand(compared >= 500 and summed >= 200, f"only {compared} rows and {summed} sums were compared")
    return compared, summed


def statistics():
    """At rest: each window is the sum of its minutes, and REST has what the streams said last."""
    compared = 0
    for symbol in SYMBOLS:
        for window in ("5m", "30m", "1h"):
            told = market.get(f"ticker?symbol={symbol}&windowSize={window}")
            minutes = [it for it in candles.rows(symbol, "1m", 1000) if it.open_time >= told["openTime"]]
            market.demand(minutes[0].open_time == told["openTime"], f"{symbol} {window}: begins at a minute: {told}")
            sum_ = candles.merged(minutes)
            expected = (sum_.open, sum_.high, sum_.low, sum_.close, sum_.volume, sum_.quote_volume, sum_.trades)
            names = ("openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume", "count")
            found = tuple(told[name] for name in names)
            market.demand(found == expected, f"{symbol} {window}: {found}, its minutes say {expected}")
            market.demand(told["lastId"] - told["firstId"] + 1 == told["count"], f"{symbol} {window}: ids: {told}")
            average = Decimal(told["quoteVolume"]) / Decimal(told["volume"])
            market.demand(abs(average - Decimal(told["weightedAvgPrice"])) <= Decimal("1e-8"), f"{symbol} {window}: {told}")
            change = Decimal(told["lastPrice"]) - Decimal(told["openPrice"])
            market.demand(change == Decimal(told["priceChange"]), f"{symbol} {window}: {told}")
            percent = change / Decimal(told["openPrice"]) * 100
            market.demand(abs(percent - Decimal(told["priceChangePercent"])) <= Decimal("0.0005"), f"{symbol} {window}: {told}")
            compared += 1
    return compared


def main():
    market.wait_for_books(SYMBOLS)
    for symbol in SYMBOLS:
        market.wait_for_history(symbol)
    live = asyncio.run(streams())
    rows, sums = history()
    with market.rest():
        windows = statistics()
    print(f"candles: {live} closed live, {rows} rows as the exchange has them, {sums} sums, {windows} windows")


main()
