#!/usr/bin/env python3
"""Runs the programs of docs/QUICKSTART.md, word for word, against a market, restarts the server, holds what they say against REST.

    python3 tests/snippets/run.py [PROGRAM [NAME...]]

PROGRAM is target/debug/tickcast unless given; NAMEs are files of the document (book.py), all unless given. Python's libraries
are those of tests/clients; TypeScript comes from npm, Go from Debian if root may install it. What has no toolchain is left out,
and that is said. Only the address is replaced in a program.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "clients")]

import debian
import rig as rigs
import run as clients

DOCUMENT = ROOT / "docs" / "QUICKSTART.md"
FOLDER = ROOT / "target" / "snippets"
ADDRESS = "127.0.0.1:9443"
SYMBOL = "BTCUSDT"
PATIENCE_S = 120
SIDE_BY_SIDE = 4
LINES = 20
# It shows a connection and nothing else.
STAYS_AWAY = "ladder.mjs"
# What every program prints: id: bid x size / ask x size.
LINE = re.compile(r"(\d+): ([\d.]+) x ([\d.]+) / ([\d.]+) x ([\d.]+)")


def main():
    began = time.monotonic()
    arguments = sys.argv[1:]
    program = Path(arguments.pop(0) if arguments else ROOT / "target" / "debug" / "tickcast").resolve()
    if not program.is_file():
        raise SystemExit(f"snippets: {program} is not there; build it first (cargo build)")
    files = dict(re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S))
    held_against_description(files["payloads.ts"])
    if files["local_book.rs"] != (ROOT / "examples/local_book.rs").read_text(encoding="utf-8"):
        raise SystemExit("snippets: FAILED: examples/local_book.rs is not what docs/QUICKSTART.md shows")
    with tempfile.TemporaryDirectory() as folder:
        rig = rigs.Rig(program, folder)
        try:
            server, told = rig.live()
            commands = prepare(files, Path(folder), told["TICKCAST"], arguments or list(files))
            with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
                seen = list(pool.map(lambda job: watch(*job), commands.items()))
            restart(rig, server, told)
            with ThreadPoolExecutor(len(seen)) as pool:
                list(pool.map(comes_back, WATCHED))
            wrong = compare([one for one in seen if one[0] != STAYS_AWAY], told)
        finally:
            for _, process, _ in WATCHED:
                process.kill()
            for process in reversed(rig.running):
                rigs.end(process)
    if wrong:
        raise SystemExit("snippets: FAILED: " + "\n  ".join(wrong))
    print(f"snippets: {len(seen)} programs passed in {time.monotonic() - began:.0f} s: {', '.join(commands)}")


def held_against_description(source):
    """The interfaces have the keys of the described payloads, in their order."""
    text = (ROOT / "src/server/docs/asyncapi.json").read_text(encoding="utf-8")
    schemas = json.loads(text)["components"]["schemas"]
    interfaces = re.findall(r"export interface (\w+)(?:<T>)? \{(.*?)\}", re.sub(r"/\*\*.*?\*/", "", source, flags=re.S), re.S)
    for name, body in interfaces:
        keys = re.findall(r"(?:^|[;\s])(\w+):", body)
        if keys != schemas[name]["required"]:
            raise SystemExit(f"snippets: FAILED: {name} has {keys}, the server describes {schemas[name]['required']}")
    if len(interfaces) < 14:
        raise SystemExit(f"snippets: FAILED: {len(interfaces)} interfaces were found")


def prepare(files, folder, address, wanted):
    """Writes the programs with the rig's address, builds what has to be built, gives their commands."""
    python = None
    commands = {}
    for name, text in files.items():
        (folder / name).write_text(text.replace(ADDRESS, address), encoding="utf-8")
    for name in wanted:
        path = folder / name
        match path.suffix:
            case ".mjs":
                commands[name] = ["node", "--experimental-websocket", path]
            case ".ts" if name != "payloads.ts":
                commands[name] = typescript(path)
            case ".py":
                python = python or clients.install() / "venv/bin/python"
                commands[name] = [python, "-u", path]
            case ".rs":
                commands[name] = rust(address)
            case ".go":
                commands[name] = go(path)
            case ".java":
                commands[name] = java(path)
    return {name: command for name, command in commands.items() if command}


def typescript(path):
    tools = FOLDER / "npm"
    package = (HERE / "package.json").read_text(encoding="utf-8")
    if not (tools / "complete").exists() or (tools / "package.json").read_text(encoding="utf-8") != package:
        shutil.rmtree(tools, ignore_errors=True)
        tools.mkdir(parents=True)
        (tools / "package.json").write_text(package, encoding="utf-8")
        build(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"], tools)
        (tools / "complete").touch()
    (path.parent / "package.json").write_text('{"type":"module"}', encoding="utf-8")
    options = ["--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"]
    build(["node", tools / "node_modules/typescript/bin/tsc", *options, path], path.parent)
    return ["node", "--experimental-websocket", path.with_suffix(".js")]


def rust(address):
    """In the crate itself, whose dependencies are built."""
    build(["cargo", "build", "--locked", "--quiet", "--example", "local_book"], ROOT)
    return [Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/examples/local_book", address]


def go(path):
    if not debian.has(["go"], ["golang-go", "golang-github-gorilla-websocket-dev"]):
        return left_out(path.name, "no Go (as root: apt-get install -y golang-go golang-github-gorilla-websocket-dev)")
    if not Path("/usr/share/gocode/src/github.com/gorilla/websocket").is_dir():
        return left_out(path.name, "no gorilla/websocket (as root: apt-get install -y golang-github-gorilla-websocket-dev)")
    binary = path.parent / "book-in-go"
    told = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOCACHE=str(FOLDER / "go"), GOFLAGS="")
    build(["go", "build", "-o", binary, path], path.parent, told)
    return [binary]


def java(path):
    if not shutil.which("javac"):
        return left_out(path.name, "no javac (as root: apt-get install -y default-jdk-headless)")
    build(["javac", "-d", path.parent / "java", path], path.parent)
    return ["java", "-cp", path.parent / "java", path.stem]


def left_out(name, why):
    print(f"snippets: LEFT OUT: {name}, {why}", flush=True)


def build(command, folder, told=None):
    done = subprocess.run(list(map(str, command)), cwd=folder, check=False, capture_output=True, text=True, env=told)
    if done.returncode:
        raise SystemExit(f"snippets: FAILED: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


WATCHED = []


def watch(name, command):
    """Starts a program, waits until it has said enough; it goes on."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    WATCHED.append((name, process, lines))
    threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True).start()
    deadline = time.monotonic() + PATIENCE_S
    while sum(1 for line in lines if LINE.search(line)) < LINES:
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"snippets: FAILED: {name} said too little:\n{''.join(lines[-20:])}")
        time.sleep(0.05)
    return name, lines


def restart(rig, server, told):
    """The server ends in order; whoever comes back is turned away twice; then another one takes its place."""
    rigs.end(server)
    host, port = told["TICKCAST"].split(":")
    with socket.create_server((host, int(port))) as door:
        door.settimeout(PATIENCE_S)
        for _ in range(2 * (len(WATCHED) - any(name == STAYS_AWAY for name, *_ in WATCHED))):
            door.accept()[0].close()
    listen = f"server.listen={told['TICKCAST']}"
    rig.start("again", "serve", "--config", rig.venue(told["TICKCAST_EXCHANGE"]), *rigs.DOORS, "--set", listen)


def comes_back(watched):
    """A program goes on with another server, by itself; the simplest one says how it ended."""
    name, process, lines = watched
    said = len(lines)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        if name == STAYS_AWAY and any("closed: 1001 Server shutdown" in line for line in lines):
            return
        if sum(1 for line in lines[said:] if LINE.search(line)) >= LINES:
            return
        if time.monotonic() > deadline or (process.poll() is not None and name != STAYS_AWAY):
            raise SystemExit(f"snippets: FAILED: {name} did not come back:\n{''.join(lines[said - 3:][-20:])}")
        time.sleep(0.05)


def compare(seen, told):
    """The market is stopped; the last line of every program has to become what REST says."""
    os.kill(int(told["TICKCAST_EXCHANGE_PID"]), signal.SIGSTOP)
    wrong = {}
    for _ in range(PATIENCE_S * 10):
        book = get(told, f"depth?symbol={SYMBOL}&limit=1")
        rest = (book["lastUpdateId"], *map(float, (*book["bids"][0], *book["asks"][0])))
        best = get(told, f"ticker/bookTicker?symbol={SYMBOL}")
        wrong = {}
        for name, lines in seen:
            found = LINE.search(next(line for line in reversed(lines) if LINE.search(line))).groups()
            last = (int(found[0]), *map(float, found[1:]))
            if name == "BestPrice.java":
                # The venue's best price is real-time: the stop may have come before the diff that holds it.
                is_same = last[1:] == tuple(float(best[key]) for key in ("bidPrice", "bidQty", "askPrice", "askQty"))
            else:
                # python-binance tells a time in place of the id.
                is_same = last[1:] == rest[1:] and (last[0] == rest[0] or name == "with_python_binance.py")
            if not is_same:
                wrong[name] = f"{name}: {last}, REST says {rest}, best {best}"
        if not wrong:
            break
        time.sleep(0.1)
    return list(wrong.values())


def get(told, path):
    with urllib.request.urlopen(f"http://{told['TICKCAST']}/api/v3/{path}", timeout=10) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
