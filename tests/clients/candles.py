"""What holds for candles, whoever has fetched or heard them: they are compared digit by digit, never as floats."""

from decimal import Decimal
from typing import NamedTuple

import market

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
LENGTH_MS = {
    "1s": SECOND, "1m": MINUTE, "3m": 3 * MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "30m": 30 * MINUTE,
    "1h": HOUR, "2h": 2 * HOUR, "4h": 4 * HOUR, "6h": 6 * HOUR, "8h": 8 * HOUR, "12h": 12 * HOUR,
    "1d": DAY, "3d": 3 * DAY, "1w": 7 * DAY,
}  # fmt: skip
# A month has no length; 1970-01-05 was a Monday.
MONDAY_MS = 4 * DAY


class Candle(NamedTuple):
    """Numbers as they were written."""

    open_time: int
    close_time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trades: int
    taker_volume: str
    taker_quote_volume: str


def of_row(row):
    """A row of klines: open, high, low, close."""
    market.demand(len(row) == 12 and row[11] == "0", f"a row has twelve fields, the last of which is \"0\": {row}")
    t, o, h, l, c, v, end, q, n, taker, taker_quote, _ = row
    return Candle(t, end, o, h, l, c, v, q, n, taker, taker_quote)


def of_stream(k):
    """The `k` of an event: open, close, high, low."""
    return Candle(k["t"], k["T"], k["o"], k["h"], k["l"], k["c"], k["v"], k["q"], k["n"], k["V"], k["Q"])


def check(candles, interval, what):
    """They tile the time without a hole, and each of them is possible."""
    length = LENGTH_MS.get(interval)
    for it in candles:
        low, high = Decimal(it.low), Decimal(it.high)
        market.demand(low <= Decimal(it.open) <= high and low <= Decimal(it.close) <= high and low > 0, f"{what}: {it}")
        volume, quote = Decimal(it.volume), Decimal(it.quote_volume)
        slack = Decimal(it.trades + 1) / 10**8
        market.demand(low * volume - slack <= quote <= high * volume + slack, f"{what}: quote volume: {it}")
        market.demand(0 <= Decimal(it.taker_volume) <= volume, f"{what}: takers: {it}")
        market.demand(0 <= Decimal(it.taker_quote_volume) <= quote, f"{what}: takers: {it}")
        market.demand((it.trades == 0) == (volume == 0), f"{what}: trades and volume: {it}")
        if length:
            offset = MONDAY_MS if interval == "1w" else 0
            market.demand((it.open_time - offset) % length == 0, f"{what}: opens off the grid: {it}")
            market.demand(it.close_time == it.open_time + length - 1, f"{what}: closes off the grid: {it}")
    for before, after in zip(candles, candles[1:]):
        market.demand(after.open_time == before.close_time + 1, f"{what}: a hole: {before}, {after}")
        if after.trades == 0:
            flat = {after.open, after.high, after.low, after.close}
            market.demand(flat == {before.close}, f"{what}: an empty candle carries the close on: {before}, {after}")
    return candles


def merged(parts):
    """One candle over several that follow each other. Empty ones say nothing about prices."""
    full = [it for it in parts if it.trades] or parts[:1]
    total = lambda field: f"{sum(Decimal(getattr(it, field)) for it in parts):.8f}"
    return Candle(
        parts[0].open_time, parts[-1].close_time, full[0].open, max(full, key=lambda it: Decimal(it.high)).high,
        min(full, key=lambda it: Decimal(it.low)).low, full[-1].close, total("volume"), total("quote_volume"),
        sum(it.trades for it in parts), total("taker_volume"), total("taker_quote_volume"),
    )  # fmt: skip


def check_sums(fine, coarse, what):
    """Every coarse candle whose time the fine ones cover is their sum; gives how many were compared."""
    by_open = {it.open_time: at for at, it in enumerate(fine)}
    compared = 0
    for it in coarse:
        first = by_open.get(it.open_time)
        last = by_open.get(it.close_time + 1, len(fine) if fine and fine[-1].close_time == it.close_time else None)
        if first is None or last is None:
            continue
        told = merged(fine[first:last])
        # Without any trade there is no first price but the close before.
        market.demand(told == it, f"{what}: {it} is not the sum of {last - first}: {told}")
        compared += 1
    return compared


def rows(symbol, interval, limit, address=market.ADDRESS, more=""):
    """The rows of REST, ours or the exchange's."""
    return list(map(of_row, market.get(f"klines?symbol={symbol}&interval={interval}&limit={limit}{more}", address)))
