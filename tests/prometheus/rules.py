"""The rules of grafana/prometheus: their text, and what promtool says to them; run.py asks."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

RULES = Path(__file__).resolve().parents[2] / "grafana" / "prometheus"


def check(wrong):
    """promtool finds nothing to say about configuration and rules, and all tests of the rules pass."""
    for command in (
        ["check", "config", RULES / "prometheus.yml"],
        ["check", "rules", RULES / "recording.rules.yml", RULES / "alerts.rules.yml"],
        ["test", "rules", RULES / "recording.test.yml", RULES / "alerts.test.yml"],
    ):
        done = subprocess.run(["promtool", *map(str, command)], check=False, capture_output=True, text=True)
        if done.returncode or done.stderr.strip():
            wrong.append(f"promtool {' '.join(map(str, command))}: {(done.stdout + done.stderr).strip()}")
    check_waiting(wrong)


def check_waiting(wrong):
    """The tests notice if an alert did not wait as long as its `for` says."""
    text = (RULES / "alerts.rules.yml").read_text()
    waiting = {name for name, rule in alerts(text) if "\n        for: " in rule}
    with tempfile.TemporaryDirectory() as folder:
        for path in RULES.glob("*.yml"):
            shutil.copy(path, folder)
        (Path(folder) / "alerts.rules.yml").write_text(re.sub(r"\n        for: \w+", "", text), encoding="utf-8")
        done = subprocess.run(["promtool", "test", "rules", f"{folder}/alerts.test.yml"], check=False, capture_output=True, text=True)
    noticed = set(re.findall(r"alertname: ?(\w+)", done.stdout + done.stderr))
    wrong += [f"alerts.test.yml does not see how long {name} waits" for name in sorted(waiting - noticed)]


def alerts(text):
    """Name and rule of each."""
    return re.findall(r"- alert: (\w+)\n(.*?)(?=\n      - alert:|\Z)", text, re.S)


def in_words(rule):
    """Severity, expression and how long it has to hold, as the runbook shows them."""
    part = lambda key: (re.search(rf"\n        +{key}: (\S+)", rule) or ["", ""])[1]
    (expression,) = expressions(rule)
    lasting = f" for {part('for')}" if part("for") else ""
    return f"**{part('severity')}** · `{' '.join(expression.split())}`{lasting}"


def expressions(text):
    """The expressions of a rule file: all that we write are one line, behind `expr:` or the lines below `>-`."""
    for inline, folded in re.findall(r"expr: (?:>-\n((?:\s{10,}.*\n)+)|(.*))", text):
        yield (inline or folded).strip()
