"""What every Python check needs: where the server is, a market at rest, what REST says."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

ADDRESS = os.environ["TICKCAST"]
EXCHANGE = os.environ.get("TICKCAST_EXCHANGE")
# A recording has no exchange behind it: no other source of candles, an end, and times that are past.
IS_LIVE = EXCHANGE is not None
PATIENCE_S = 60


def get(path, address=ADDRESS, headers=None):
    """The JSON body of a REST answer, ours or the exchange's."""
    request = urllib.request.Request(f"http://{address}/api/v3/{path}", headers=headers or {})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


def depth(symbol, limit=5000):
    return get(f"depth?symbol={symbol}&limit={limit}")


def until(what, holds):
    """Gives what `holds` gives once that is true."""
    for _ in range(PATIENCE_S * 10):
        found = holds()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"FAILED: never happened within {PATIENCE_S} s: {what}")


def wait_for_books(symbols):
    """Until every book has been joined, has traded and has its statistics: before that REST answers 503 or nothing."""
    until(f"books of {symbols}", lambda: all(map(is_served, symbols)))


def wait_for_history(symbol, minutes=120):
    """Until candles reach back: a server that has just started fetches them from the venue."""
    least = minutes if IS_LIVE else 1
    until(f"{least} minutes of candles", lambda: len(get(f"klines?symbol={symbol}&interval=1m&limit=1000")) >= least)


def time_ms():
    """The time of the market: a server of a recording lives in the recording's."""
    return time.time() * 1000 if IS_LIVE else get("trades?symbol=BTCUSDT&limit=1")[0]["time"]


def is_served(symbol):
    try:
        statistics = [get(f"{path}?symbol={symbol}") for path in ("ticker/24hr", "avgPrice")]
        return all(statistics) and depth(symbol, 5)["bids"] and get(f"trades?symbol={symbol}&limit=1")
    except urllib.error.HTTPError as refusal:
        return demand(refusal.code == 503, f"{symbol}: {refusal.code} {refusal.read()}")


@contextmanager
def rest():
    """A market in which nothing changes any more once the streams of 1000 ms have sent their last diff.

    A live exchange is stopped and goes on afterwards; a recording is waited for, up to its last frame.
    """
    if not IS_LIVE:
        until("the end of the recording", is_replayed)
        yield
        return
    exchange = int(os.environ["TICKCAST_EXCHANGE_PID"])
    os.kill(exchange, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(exchange, signal.SIGCONT)


def is_replayed():
    with open(os.environ["TICKCAST_REPLAY_LOG"], encoding="utf-8") as log:
        return "frames were served" in log.read()


def demand(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")
