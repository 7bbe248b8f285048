#!/usr/bin/env python3
"""The clients' step of ./check: installs client libraries below target/, points them at the built program.

    python3 tests/clients/run.py [PROGRAM] [CHECK...]

PROGRAM is target/debug/tickcast unless given; without CHECKs all are run. Needs Python 3.11 with venv, Node 20 with npm,
and PyPI and npm unless an earlier run has installed the same requirements. Standard library only.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "target" / "clients"
# Each with the markets it is run against.
CHECKS = {
    "ccxt_check.py": ["live", "recording"],
    "python_binance_check.py": ["live", "recording"],
    "official_sdk_check.py": ["live", "recording"],
    "unicorn_check.py": ["live"],
    "ws_api_check.py": ["live"],
    "node_check.mjs": ["live", "recording"],
    "candles_check.py": ["live"],
    "description_check.py": ["live", "recording"],
    "snippet.py": ["live"],
}
# A check waits for conditions, most of them a minute at most.
PATIENCE_S = 240
# Each has a server, an exchange and a client, which wait more than they compute.
SIDE_BY_SIDE = 4


def main():
    began = time.monotonic()
    arguments = sys.argv[1:]
    program = Path(arguments.pop(0) if arguments else ROOT / "target" / "debug" / "tickcast").resolve()
    if not program.is_file():
        raise SystemExit(f"clients: {program} is not there; build it first (cargo build)")
    wanted = arguments or list(CHECKS)
    installed = install()
    jobs = [(check, market) for check in wanted for market in CHECKS[check]]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        jobs.sort(key=lambda job: job[1] != "live")
        recording = pool.submit(record, program, f"{folder}/market.recording")
        passed = pool.map(lambda job: run(program, installed, recording, *job), jobs)
        failed = [job for job, passed in zip(jobs, passed) if not passed]
    took = time.monotonic() - began
    if failed:
        raise SystemExit(f"clients: FAILED: {', '.join(f'{check} ({market})' for check, market in failed)}")
    print(f"clients: {len(jobs)} checks passed in {took:.0f} s")


def record(program, file):
    """A recording of a simulated exchange, made by the program itself."""
    made = subprocess.run([sys.executable, HERE / "rig.py", program, "record", file], check=False, capture_output=True, text=True)
    if made.returncode:
        raise SystemExit(f"clients: cannot record: {made.stderr}")
    return file


def run(program, installed, recording, check, market):
    """Runs one check in a rig; says its summary, or everything if it fails."""
    source = "live" if market == "live" else recording.result()
    tool = ["node"] if check.endswith(".mjs") else [str(installed / "venv/bin/python")]
    script = installed / check if check.endswith(".mjs") else HERE / check
    command = [sys.executable, str(HERE / "rig.py"), str(program), source, "--", *tool, str(script)]
    began = time.monotonic()
    told = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=str(HERE), TICKCAST_NODE_MODULES=str(installed / "node_modules"))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=told, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        # The rig ends what it started; the client ends with the group.
        os.killpg(process.pid, signal.SIGTERM)
        output, _ = process.communicate()
        output += f"no end within {PATIENCE_S} s"
    passed = process.returncode == 0
    head = f"clients: {check} ({market}), {time.monotonic() - began:.0f} s: "
    text = output.strip().splitlines()[-1] if passed and output.strip() else output
    print(head + ("" if passed else "FAILED\n") + text, flush=True)
    return passed


def install():
    """A folder with the pinned libraries, made once for each state of the requirement files."""
    needed = [HERE / "requirements.txt", HERE / "package.json"]
    digest = hashlib.sha256(b"\0".join([*(file.read_bytes() for file in needed), sys.version.encode()])).hexdigest()[:16]
    folder = FOLDER / digest
    if not (folder / "complete").exists():
        if sys.version_info < (3, 11):
            raise SystemExit(f"clients: Python 3.11 or later is needed, this is {sys.version.split()[0]}")
        if not shutil.which("node") or not shutil.which("npm"):
            raise SystemExit("clients: node and npm are needed (Node 20 or later); as root: apt-get install -y nodejs npm")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(HERE / "package.json", folder)
        step("make a Python environment", [sys.executable, "-m", "venv", folder / "venv"], folder)
        pip = [folder / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", needed[0]]
        step("install from PyPI", pip, folder)
        step("install from npm", ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"], folder)
        (folder / "complete").touch()
    # Node finds its modules beside the script.
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def step(what, command, folder):
    done = subprocess.run(list(map(str, command)), cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise SystemExit(f"{last}\nclients: cannot {what} (is there a network?): {' '.join(map(str, command))}")


if __name__ == "__main__":
    main()
