#!/usr/bin/env python3
"""Starts the simulated exchange and a server that takes its feed, runs one command against them, ends them.

    python3 rig.py path/to/tickcast -- COMMAND...

The command finds the server in TICKCAST (host:port) and the exchange's process in TICKCAST_EXCHANGE_PID: a stopped
exchange (SIGSTOP) is a market at rest, so that books can be compared to the last digit. Standard library only.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 60
SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ETHBTC"]
VENUE = """
[[venues]]
name = "binance"
kind = "binance"
ws_url = "ws://{exchange}"
rest_url = "http://{exchange}"
symbols = {symbols}
"""


def start(program, log, *arguments):
    """Starts the program on ports that are free and gives the process and the address it says it streams on."""
    process = subprocess.Popen([program, *arguments], stderr=log, stdout=subprocess.DEVNULL)
    for _ in range(PATIENCE_S * 20):
        with open(log.name, encoding="utf-8") as said:
            found = re.search(r"Streams +ws://([^/]+)/", said.read())
        if found:
            return process, found.group(1)
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    with open(log.name, encoding="utf-8") as said:
        raise SystemExit(f"rig: {program} did not start:\n{said.read()}")


def end(process):
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def main():
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        raise SystemExit(__doc__)
    program, command = sys.argv[1], sys.argv[3:]
    with tempfile.TemporaryDirectory() as folder:
        running = []
        try:
            with open(f"{folder}/exchange", "w", encoding="utf-8") as log:
                exchange, address = start(program, log, "exchange", "--listen", "127.0.0.1:0")
            running.append(exchange)
            with open(f"{folder}/venue.toml", "w", encoding="utf-8") as file:
                file.write(VENUE.format(exchange=address, symbols=SYMBOLS))
            doors = ["--set", "server.listen=127.0.0.1:0", "--set", "ops.listen=127.0.0.1:0"]
            with open(f"{folder}/server", "w", encoding="utf-8") as log:
                server, address = start(program, log, "serve", "--config", f"{folder}/venue.toml", *doors)
            running.append(server)
            told = dict(os.environ, TICKCAST=address, TICKCAST_EXCHANGE_PID=str(exchange.pid))
            code = subprocess.run(command, env=told, check=False).returncode
            if server.poll() is not None:
                print(f"rig: the server ended with {server.returncode} under the client", file=sys.stderr)
                code = 1
        finally:
            for process in reversed(running):
                end(process)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
