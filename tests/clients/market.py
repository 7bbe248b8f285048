"""What every Python check needs: where the server is, a market at rest, what REST says."""

import json
import os
import signal
import time
import urllib.request
from contextlib import contextmanager

ADDRESS = os.environ["TICKCAST"]
PATIENCE_S = 60


def get(path):
    """The JSON body of a REST answer."""
    with urllib.request.urlopen(f"http://{ADDRESS}/api/v3/{path}", timeout=PATIENCE_S) as answer:
        return json.load(answer)


def depth(symbol, limit=5000):
    return get(f"depth?symbol={symbol}&limit={limit}")


def wait_for_books(symbols):
    """Until every book has been joined and has traded: before that REST answers 503 or an empty list."""
    for _ in range(PATIENCE_S * 10):
        try:
            if all(depth(symbol, 5)["bids"] and get(f"trades?symbol={symbol}&limit=1") for symbol in symbols):
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"no books of {symbols} within {PATIENCE_S} s")


@contextmanager
def rest():
    """Stops the exchange: inside, nothing changes any more once the streams of 1000 ms have sent their last diff."""
    exchange = int(os.environ["TICKCAST_EXCHANGE_PID"])
    os.kill(exchange, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(exchange, signal.SIGCONT)


def demand(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")
