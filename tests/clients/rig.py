#!/usr/bin/env python3
"""Starts a market and a server that takes its feed, runs one command against the server, ends them.

    python3 rig.py path/to/tickcast live -- COMMAND...
    python3 rig.py path/to/tickcast record FILE
    python3 rig.py path/to/tickcast FILE -- COMMAND...

`live` is the simulated exchange in a process of its own. FILE is what `record` took down from such an exchange, served by
`tickcast replay`. The command finds
    TICKCAST                the server (host:port)
    TICKCAST_EXCHANGE       live: the exchange (host:port), whose own answers ours are compared with
    TICKCAST_EXCHANGE_PID   live: its process; stopped (SIGSTOP) it is a market at rest
    TICKCAST_REPLAY_LOG     recording: the log that says when the last frame was served, and the market is at rest
Only loopback is used. Standard library only.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 60
# Long enough to join books and watch candles of a second, short enough for every run of the tests.
RECORDED_S = 30
SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ETHBTC"]
DOORS = [part for door in ("server", "sbe", "ops") for part in ("--set", f"{door}.listen=127.0.0.1:0")]
VENUE = """
[[venues]]
name = "binance"
kind = "binance"
ws_url = "ws://{exchange}"
rest_url = "http://{exchange}"
symbols = {symbols}
"""


class Rig:
    """Processes of one program, with their logs in `folder`."""

    def __init__(self, program, folder):
        self.program, self.folder, self.running = program, folder, []

    def start(self, name, *arguments):
        """Starts the program on ports that are free and gives the process and the address it says it streams on."""
        with open(self.log(name), "w", encoding="utf-8") as log:
            process = subprocess.Popen([self.program, *arguments], stderr=log, stdout=subprocess.DEVNULL)
        self.running.append(process)
        for _ in range(PATIENCE_S * 20):
            found = re.search(r"Streams +ws://([^/]+)/", self.said(name))
            if found:
                return process, found.group(1)
            if process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"rig: {name} did not start:\n{self.said(name)}")

    def live(self):
        """An exchange and a server of its feed."""
        exchange, address = self.exchange()
        server, door = self.start("server", "serve", "--config", self.venue(address), *DOORS)
        return server, {"TICKCAST": door, "TICKCAST_EXCHANGE": address, "TICKCAST_EXCHANGE_PID": str(exchange.pid)}

    def replay(self, file):
        """A recording, served at the speed it was made."""
        server, door = self.start("server", "replay", file, *DOORS)
        return server, {"TICKCAST": door, "TICKCAST_REPLAY_LOG": self.log("server")}

    def record(self, file):
        """Records an exchange into a file."""
        _, address = self.exchange()
        told = [self.program, "record", file, "--seconds", str(RECORDED_S), "--config", self.venue(address)]
        return subprocess.run(told, check=False).returncode

    def exchange(self):
        return self.start("exchange", "exchange", "--listen", "127.0.0.1:0")

    def venue(self, exchange):
        """A configuration with the exchange as its only venue."""
        path = f"{self.folder}/venue.toml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(VENUE.format(exchange=exchange, symbols=SYMBOLS))
        return path

    def log(self, name):
        return f"{self.folder}/{name}.log"

    def said(self, name):
        with open(self.log(name), encoding="utf-8", errors="replace") as log:
            return log.read()


def end(process):
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def main():
    arguments = sys.argv[1:]
    if len(arguments) < 3 or (arguments[1] != "record" and arguments[2] != "--"):
        raise SystemExit(__doc__)
    program, market, rest = arguments[0], arguments[1], arguments[2:]
    # The rig's own end, asked for politely, is the end of what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("rig: ended from outside"))
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(program, folder)
        try:
            raise SystemExit(rig.record(rest[0]) if market == "record" else against(rig, market, rest[1:]))
        finally:
            for process in reversed(rig.running):
                end(process)


def against(rig, market, command):
    """Runs the command; gives its exit code, or 1 if the server did not live to see it."""
    server, told = rig.live() if market == "live" else rig.replay(market)
    code = subprocess.run(command, env=dict(os.environ, **told), check=False).returncode
    if server.poll() is not None:
        print(f"rig: the server ended with {server.returncode} under the client", file=sys.stderr)
        code = 1
    if code:
        print("rig: the server's last words:", *rig.said("server").splitlines()[-15:], sep="\n  ", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
