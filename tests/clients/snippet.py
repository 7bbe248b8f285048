"""The Python snippet of the README, word for word, until it has printed twenty events (websockets)."""

import ast
import pathlib
import re
import subprocess
import sys

import websockets

import market

EVENTS = 20
README = pathlib.Path(__file__).parents[2] / "README.md"

text = README.read_text(encoding="utf-8")
code = re.search(r"```python\n(.*?)```", text, re.S).group(1)
market.demand("127.0.0.1:9443" in code, "the snippet names the default address")
market.wait_for_books(["BTCUSDT", "ETHUSDT"])
code = code.replace("127.0.0.1:9443", market.ADDRESS)
with subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True) as snippet:
    lines = [line for line, _ in zip(snippet.stdout, range(EVENTS))]
    snippet.kill()
streams = {ast.literal_eval(line)["stream"] for line in lines}
market.demand(len(lines) == EVENTS, f"{EVENTS} events, not {len(lines)}")
market.demand(streams == {"btcusdt@trade", "ethusdt@bookTicker"}, f"events of both streams, not {streams}")
print(f"README snippet, websockets {websockets.__version__}: {len(lines)} events of {', '.join(sorted(streams))}")
