#!/usr/bin/env python3
"""The metrics' step of ./check: a real Prometheus scrapes a running server under load, with the rules of grafana/prometheus.

    python3 tests/prometheus/run.py [PROGRAM] [--draw DIR]

PROGRAM is target/debug/tickcast unless given. What has to hold:

* promtool finds nothing to say about the exposition, the configuration and the rules, and all tests of the rules pass;
* every alert is tested firing, silent and waiting, and has its chapter in docs/RUNBOOK.md, which shows the rule as it is;
* every metric that a dashboard or a rule names is there, and every expression of a panel and of a variable returns data;
* every metric that is there is used by a dashboard or a rule, or stands in unused.txt with the reason;
* the dashboards are what grafana/dashboards.py writes.

With --draw, the dashboards are parsed by Grafana's own Python types and drawn as pictures from the results of their queries;
that needs PyPI (requirements.txt, below target/). Else only Python 3.11 and Debian's prometheus are needed; root installs
that, and without it everything that needs it is left out, which is said. Only loopback is used.
"""

import hashlib
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import crowd
import debian
import rules
from rules import RULES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GRAFANA = ROOT / "grafana"
PATIENCE_S = 150
# How long the load has been on when pictures are drawn, so that there is something to see.
DRAWN_S = 150
# What Grafana would put in, at the scrape interval of this test.
VARIABLES = {"$__rate_interval": "10s", "$instance": ".*", "$venue": ".*", "$shard": ".*"}
# A venue that misbehaves, once over two legs and once over one, and clients that are met with limits soon.
SETTINGS = """
[session]
streams_max = 64
outbox_bytes_max = 65536
[server]
rest_weight_per_minute = 1500
exempt_loopback = false
connects_per_five_minutes = 0
ban_after_refusals = 0
[store]
path = "{folder}/history"
[exchange]
gap_per_minute = 20.0
duplicate_per_minute = 20.0
malformed_per_minute = 10.0
disconnect_per_minute = 2.0
rest_error_per_minute = 10.0
[[venues]]
name = "binance"
kind = "binance"
ws_url = "embedded"
rest_url = "embedded"
symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ETHBTC"]
connections = 2
[[venues]]
name = "single"
kind = "binance"
ws_url = "embedded"
rest_url = "embedded"
symbols = ["BTCUSDT", "ADAUSDT", "DOGEUSDT"]
"""


def main():
    began = time.monotonic()
    arguments = sys.argv[1:]
    pictures = None
    if "--draw" in arguments:
        at = arguments.index("--draw")
        pictures = Path(arguments[at + 1]).resolve()
        del arguments[at : at + 2]
    program = Path(arguments[0] if arguments else ROOT / "target" / "debug" / "tickcast").resolve()
    if not program.is_file():
        raise SystemExit(f"prometheus: {program} is not there; build it first (cargo build)")
    wrong = Wrong()
    check_texts(wrong)
    # Debian's package does not start it where no systemd runs.
    if not debian.has(["prometheus", "promtool"], ["prometheus"]):
        wrong.end()
        print("prometheus: LEFT OUT: all that needs Prometheus (as root: apt-get install -y --no-install-recommends prometheus)")
        return
    rules.check(wrong)
    wrong.end()
    with tempfile.TemporaryDirectory() as folder:
        running = []
        try:
            counted = against(wrong, program, folder, running, pictures)
        finally:
            for process in reversed(running):
                stop(process)
    wrong.end()
    print(f"prometheus: {counted}, in {time.monotonic() - began:.0f} s")


class Wrong(list):
    """What does not hold."""

    def end(self):
        if self:
            raise SystemExit("prometheus: FAILED\n  " + "\n  ".join(self))


def check_texts(wrong):
    """Everything that needs no program: dashboards, alerts, their tests and chapters belong together."""
    made = subprocess.run([sys.executable, GRAFANA / "dashboards.py", "--check"], check=False, capture_output=True, text=True)
    if made.returncode:
        wrong.append(made.stderr.strip())
    found = rules.alerts((RULES / "alerts.rules.yml").read_text())
    tests = (RULES / "alerts.test.yml").read_text()
    runbook = (ROOT / "docs" / "RUNBOOK.md").read_text()
    chapters = re.findall(r"^## (.+)$", runbook, re.M)
    if not found:
        wrong.append("no alerts are found")
    for name, rule in found:
        for kind in ("fires", "is silent"):
            if f"- name: {name} {kind}\n" not in tests:
                wrong.append(f"alerts.test.yml has no test that {name} {kind}")
        if f"runbook_url: docs/RUNBOOK.md#{name.lower()}\n" not in rule + "\n":
            wrong.append(f"{name} does not link to its chapter")
        wrong += [f"{name} has no {part}" for part in ("severity: ", "summary: ", "description: ") if part not in rule]
        if name not in chapters:
            wrong.append(f"docs/RUNBOOK.md has no chapter {name}")
        told = f"## {name}\n\n{rules.in_words(rule)}\n\n"
        if told not in runbook:
            wrong.append(f"docs/RUNBOOK.md does not begin its chapter with the rule: {told}")
    wrong += [f"docs/RUNBOOK.md tells of {name}, which is no alert" for name in chapters if name not in dict(found)]
    for file, panel in panels():
        if panel["type"] == "row":
            continue
        where = f"{file}: {panel['title']}"
        if len(panel.get("description", "")) < 10:
            wrong.append(f"{where} has no description")
        defaults = panel["fieldConfig"]["defaults"]
        if not defaults.get("unit"):
            wrong.append(f"{where} has no unit")
        if not defaults.get("thresholds", {}).get("steps"):
            wrong.append(f"{where} has no thresholds")


def against(wrong, program, folder, running, pictures):
    """Starts server, load and Prometheus, and looks until everything is there; gives what was counted."""
    settings = f"{folder}/settings.toml"
    Path(settings).write_text(SETTINGS.format(folder=folder), encoding="utf-8")
    doors = [part for door in ("server", "sbe", "ops") for part in ("--set", f"{door}.listen=127.0.0.1:0")]
    # Without colours, so that the addresses can be read.
    server = start(running, f"{folder}/server.log", [program, "serve", "--config", settings, *doors], NO_COLOR="1")
    public, ops = said(server, f"{folder}/server.log", r"doors are open public=(\S+) ops=(\S+)")
    # The clients ask which instruments there are.
    until_ready(ops)
    load = ["load", f"ws://{public}", "--clients", "150", "--per-client", "8", "--duration", "1h", "--slow", "5", "--config", settings]
    start(running, f"{folder}/load.log", [program, *load])
    start(running, f"{folder}/crowd.log", [sys.executable, HERE / "crowd.py", public])
    prometheus = Prometheus(running, folder, ops)
    lasting = time.monotonic() + (DRAWN_S if pictures else 0)
    asked = [(f"{file}: {panel['title']}", replaced(target["expr"])) for file, panel in panels() for target in panel.get("targets", [])]
    asked += [(f"{file}: variable {name}", series) for file, name, series in variables()]
    deadline = time.monotonic() + PATIENCE_S
    silent = asked
    while silent and time.monotonic() < deadline:
        silent = [(where, text) for where, text in silent if not prometheus.has_data(text)]
        time.sleep(1)
    wrong += [f"no data: {where}: {text}" for where, text in silent]

    exposition = fetch(f"http://{ops}/metrics")
    linted = subprocess.run(["promtool", "check", "metrics"], input=exposition, check=False, capture_output=True, text=True)
    if linted.returncode or (linted.stdout + linted.stderr).strip():
        wrong.append(f"promtool check metrics: {(linted.stdout + linted.stderr).strip()}")
    exported = set(re.findall(r"^# TYPE (\S+)", exposition, re.M))
    check_names(wrong, exported, prometheus)
    for group in prometheus.ask("rules")["groups"]:
        wrong += [f"rule {rule['name']} is {rule['health']}: {rule.get('lastError')}" for rule in group["rules"] if rule["health"] != "ok"]
    if pictures:
        time.sleep(max(0, lasting - time.monotonic()))
        draw(prometheus, folder, pictures)
    ended = [name for name, process in (("server", server), ("crowd", running[2]), ("load", running[1])) if process.poll() is not None]
    wrong += [f"the {name} ended early:\n{Path(f'{folder}/{name}.log').read_text()[-2000:]}" for name in ended]
    return f"{len(asked)} queries of {len(list(panels()))} panels and rows returned data, {len(exported)} metrics are used or listed"


def check_names(wrong, exported, prometheus):
    """Both ways: what is named is there, what is there is named."""
    there = set(prometheus.ask("label/__name__/values"))
    texts = [(file, target["expr"]) for file, panel in panels() for target in panel.get("targets", [])]
    texts += [(file, note["expr"]) for file, board in boards() for note in board["annotations"]["list"]]
    texts += [(path.name, text) for path in RULES.glob("*.rules.yml") for text in rules.expressions(path.read_text())]
    recorded = set(re.findall(r"- record: (\S+)", (RULES / "recording.rules.yml").read_text()))
    used = set()
    for where, text in texts:
        # Label matchers may hold anything.
        for name in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.sub(r'"[^"]*"', "", text)):
            if not (name.startswith(("tickcast_", "process_")) or ":" in name):
                continue
            if name not in there:
                wrong.append(f"{where} names {name}, which is not there")
            used.add(re.sub(r"_(bucket|sum|count)$", "", name) if name not in exported else name)
    wrong += [f"nobody uses the recorded {name}" for name in recorded - used]
    listed = {}
    for line in (HERE / "unused.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, reason = line.partition(" ")
            listed[name] = reason.strip()
    wrong += [f"{name} is exported, and no dashboard or rule uses it (or list it in unused.txt with the reason)" for name in sorted(exported - used - set(listed))]
    wrong += [f"unused.txt: {name} is used" for name in sorted(set(listed) & used)]
    wrong += [f"unused.txt: {name} is not exported" for name in sorted(set(listed) - exported)]
    wrong += [f"unused.txt: {name} has no reason" for name, reason in listed.items() if not reason]


def boards():
    for path in sorted((GRAFANA / "dashboards").glob("*.json")):
        yield path.name, json.loads(path.read_text(encoding="utf-8"))


def panels():
    for file, board in boards():
        for panel in board["panels"]:
            yield file, panel


def variables():
    for file, board in boards():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
                yield file, variable["name"], f'group by ({label}) ({replaced(series)})'


def replaced(text):
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    if "$" in text:
        raise SystemExit(f"prometheus: a variable that is not known here: {text}")
    return text


class Prometheus:
    """Debian's, with our configuration but for the target and the intervals."""

    def __init__(self, running, folder, ops):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        text = (RULES / "prometheus.yml").read_text(encoding="utf-8")
        text = re.sub(r"_interval: \w+", "_interval: 1s", text).replace("tickcast:9464", ops)
        text = re.sub(r"- (\w+\.rules\.yml)", lambda found: f"- {RULES / found.group(1)}", text)
        if ops not in text:
            raise SystemExit("prometheus: prometheus.yml has no target tickcast:9464")
        config = f"{folder}/prometheus.yml"
        Path(config).write_text(text, encoding="utf-8")
        options = [f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address={self.address}"]
        process = start(running, f"{folder}/prometheus.log", ["prometheus", *options])
        said(process, f"{folder}/prometheus.log", r"(Server is ready)")

    def ask(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        return json.loads(fetch(f"http://{self.address}/api/v1/{path}?{query}"))["data"]

    def has_data(self, text):
        result = self.ask("query", query=text)["result"]
        return any(math.isfinite(float(sample["value"][1])) for sample in result)


def draw(prometheus, folder, pictures):
    """The pictures are made by another Python, which has matplotlib."""
    data = {}
    now = time.time()
    window = {"start": now - DRAWN_S + 20, "end": now, "step": 1}
    for _, panel in panels():
        for target in panel.get("targets", []):
            text = replaced(target["expr"])
            data.setdefault(text, prometheus.ask("query_range", query=text, **window)["result"])
    file = f"{folder}/data.json"
    Path(file).write_text(json.dumps({"window": window, "variables": VARIABLES, "data": data}), encoding="utf-8")
    pictures.mkdir(parents=True, exist_ok=True)
    subprocess.run([libraries() / "bin/python", HERE / "draw.py", file, pictures], check=True)


def libraries():
    """A Python environment with the pinned libraries, made once for each state of the requirements."""
    needed = HERE / "requirements.txt"
    digest = hashlib.sha256(needed.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = ROOT / "target" / "prometheus" / digest
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", needed], check=True)
        (folder / "complete").touch()
    return folder


def start(running, log, command, **environment):
    with open(log, "w", encoding="utf-8") as out:
        told = dict(os.environ, **environment)
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=out, env=told)
    running.append(process)
    return process


def said(process, log, pattern):
    """Waits until the log has this line; gives what is in its groups."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        text = Path(log).read_text(encoding="utf-8", errors="replace")
        found = re.search(pattern, text)
        if found:
            return found.groups()
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"prometheus: {log} does not say {pattern}:\n{text[-3000:]}")


def until_ready(ops):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{ops}/readyz", timeout=30):
                return
        except urllib.error.HTTPError as error:
            reasons = error.read().decode()
        time.sleep(0.1)
    raise SystemExit(f"prometheus: the server does not get ready: {reasons}")


def stop(process):
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"prometheus: {url}: {error}: {error.read().decode()}") from error


if __name__ == "__main__":
    main()
