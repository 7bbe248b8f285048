#!/usr/bin/env python3
"""What the metrics cost: their share of the instructions of the engine's and the shards' threads, counted by callgrind.

    python3 tests/prometheus/cost.py [PROGRAM] [--clients N] [--rate N] [--seconds N] [--calls]

PROGRAM is target/release/tickcast unless given (`cargo build --release`). It serves a market under valgrind; the exchange and
the clients are other processes. After a warm-up everything is counted for so many seconds. The cost of metrics is what lies
below calls from any other function into the crates of the recorder, with the call itself, and the reading of the clock that
only metrics need. Valgrind slows the program down by fifty, so that more frames wait for each pass than usual, which makes
metrics, which are counted per pass, look cheaper: take a --rate that it keeps up with, and look at the frames per pass, which
are printed. Needs valgrind; standard library only.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import run

# Everything of the recorder, by the beginning of a symbol.
OURS = re.compile(r"<?(metrics|metrics_util|metrics_exporter_prometheus|tickcast::metrics)\b")
# The clock reads that are there for metrics alone: the end of an engine's pass, and a shard's delivery latency.
CLOCK = re.compile(r"(tickcast::clock::now|std::time::SystemTime::now|<?std::sys::.*Timespec.*::now|.*clock_gettime)")
FOR_METRICS = re.compile(r"(Engine.*::turn|Driver.*::(count|pass|run))\b")
# Loading a handle, looking whether it is there, passing the amount: what the caller does for each call.
CALL_INSTRUCTIONS = 6
VENUE = """
[[venues]]
name = "binance"
kind = "binance"
ws_url = "ws://{exchange}"
rest_url = "http://{exchange}"
symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT"]
[delivery]
sender = "epoll"
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="?", default=run.ROOT / "target" / "release" / "tickcast", type=Path)
    parser.add_argument("--clients", default="50")
    parser.add_argument("--rate", default="100")
    parser.add_argument("--seconds", default=20, type=int)
    parser.add_argument("--calls", action="store_true", help="list each kind of call as well")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        running = []
        try:
            measure(told, folder, running)
        finally:
            for process in reversed(running):
                run.stop(process)


def measure(told, folder, running):
    program = told.program.resolve()
    log = f"{folder}/exchange.log"
    exchange = run.start(running, log, [program, "exchange", "--listen", "127.0.0.1:0", "--set", f"exchange.rate={told.rate}"], NO_COLOR="1")
    (address,) = run.said(exchange, log, r"Streams +ws://([^/]+)/")
    settings = f"{folder}/settings.toml"
    Path(settings).write_text(VENUE.format(exchange=address), encoding="utf-8")
    doors = [part for door in ("server", "sbe", "ops") for part in ("--set", f"{door}.listen=127.0.0.1:0")]
    valgrind = ["valgrind", "--tool=callgrind", "--separate-threads=yes", "--callgrind-out-file=callgrind.out"]
    log = f"{folder}/server.log"
    with open(log, "w", encoding="utf-8") as out:
        server = subprocess.Popen([*valgrind, program, "serve", "--config", settings, *doors], cwd=folder, stdout=subprocess.DEVNULL, stderr=out)
    running.append(server)
    public, ops = run.said(server, log, r"doors are open.*?public=.*?([\d.]+:\d+).*?ops=.*?([\d.]+:\d+)")
    control = lambda option: subprocess.run(["callgrind_control", option, str(server.pid)], check=True, capture_output=True, cwd=folder)
    run.said(server, log, r"(history is complete)")
    load = run.start(running, f"{folder}/load.log", [program, "load", f"ws://{public}", "--clients", told.clients, "--duration", "1h", "--config", settings])
    # What the clients make at their start is not the steady state.
    time.sleep(15)
    names = ("tickcast_engine_pass_seconds_count", "tickcast_engine_pass_frames_sum", "tickcast_shard_deliveries_total", "tickcast_shard_writes_total")
    before = [value(ops, name) for name in names]
    control("--zero")
    time.sleep(told.seconds)
    control("--dump")
    if load.poll() is not None:
        raise SystemExit(f"cost: the clients ended:\n{Path(f'{folder}/load.log').read_text()}")
    passes, frames, deliveries, writes = (value(ops, name) - was for name, was in zip(names, before))
    threads = {}
    for path in Path(folder).glob("callgrind.out.*"):
        counted = read(path, told.calls)
        if counted:
            name, whole, metrics, clock = counted
            for at, amount in enumerate((whole, metrics, clock)):
                threads.setdefault(name, [0, 0, 0])[at] += amount
    print(f"{told.seconds} s: {passes:.0f} passes with frames, {frames / max(passes, 1):.1f} frames each; {deliveries:.0f} deliveries in {writes:.0f} writes")
    total = [0, 0, 0]
    for name, counts in sorted(threads.items()):
        print(line(name, counts))
        total = [one + other for one, other in zip(total, counts)]
    if not total[0]:
        raise SystemExit("cost: nothing was counted; does the program have its symbols?")
    print(line("both", total))


def line(name, counts):
    whole, metrics, clock = counts
    return f"{name:>8}: {whole / 1e6:9.2f} M instructions, metrics {100 * metrics / max(whole, 1):.2f} %, with their clock reads {100 * (metrics + clock) / max(whole, 1):.2f} %"


def value(ops, name):
    lines = run.fetch(f"http://{ops}/metrics").splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[{{ ]", line))


def read(path, lists_calls):
    """Which thread a profile is of, its instructions, and those of metrics and of clock reads for them."""
    names, current, callee = {}, None, None
    own, calls = defaultdict(int), []
    text = path.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = iter(text)

    def name(told):
        number, _, called = told.partition(" ")
        if called:
            names[number] = called
        return names.get(number, number)

    for raw in lines:
        if raw.startswith("fn="):
            current = name(raw[3:])
        elif raw.startswith("cfn="):
            callee = name(raw[4:])
        elif raw.startswith("calls="):
            count = int(raw[6:].split()[0])
            calls.append((current, callee, count, int(next(lines).split()[1])))
        elif re.match(r"[+\-*\d]", raw) and current:
            own[current] += int(raw.split()[1])
    kinds = {"engine": r"tickcast::engine::drive|tickcast::engine::Engine", "shards": r"tickcast::shard::driver"}
    kind = next((kind for kind, pattern in kinds.items() if any(re.search(pattern, function) for function in own)), None)
    if kind is None:
        return None
    if lists_calls:
        edges = defaultdict(lambda: [0, 0])
        for caller, called, count, cost in calls:
            if (OURS.match(called) and not OURS.match(caller)) or (CLOCK.match(called) and FOR_METRICS.search(caller)):
                edges[caller[:70], called[:70]][0] += count
                edges[caller[:70], called[:70]][1] += cost
        for (caller, called), (count, cost) in sorted(edges.items(), key=lambda edge: -edge[1][1])[:15]:
            print(f"{cost:>10} in {count:>6} calls: {caller} -> {called}")
    metrics = sum(cost + count * CALL_INSTRUCTIONS for caller, called, count, cost in calls if OURS.match(called) and not OURS.match(caller))
    clock = sum(cost for caller, called, _, cost in calls if CLOCK.match(called) and FOR_METRICS.search(caller))
    return kind, sum(own.values()), metrics, clock


if __name__ == "__main__":
    main()
