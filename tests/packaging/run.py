#!/usr/bin/env python3
"""The packaging step of ./check: holds packaging/ against the tools and schemas of those who will read it.

    python3 tests/packaging/run.py [PROGRAM]

PROGRAM is target/debug/tickcast unless given. hadolint, the schemas of Kubernetes and the one of compose come from PyPI and
npm, below target/, once. systemd-analyze is installed only by root; without it or libseccomp their checks are left out, which
is said. No image is built and no cluster is asked: neither is here.
"""

import ctypes.util
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import debian

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGING = ROOT / "packaging"
UNIT = PACKAGING / "tickcast.service"
FOLDER = ROOT / "target" / "packaging"
# Of 10; what is left is what a network service has to have.
EXPOSURE_MAX = 1.5
# The oldest that knows preStop.sleep without a feature gate, and the newest that the package knows.
KUBERNETES = ["1.30", "1.37"]
PATIENCE_S = 60


def main():
    began = time.monotonic()
    program = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target" / "debug" / "tickcast").resolve()
    demand(program.is_file(), f"{program} is not there; build it first (cargo build)")
    tools = install()
    # What is installed for this step alone.
    sys.path.insert(0, str(next((tools / "venv" / "lib").glob("python3*/site-packages"))))
    checks = [versions, configurations, unit, image, compose, kubernetes, running]
    for check in checks:
        print(f"packaging: {check(program, tools)}", flush=True)
    print(f"packaging: {len(checks)} checks passed in {time.monotonic() - began:.0f} s")


def versions(_program, _tools):
    """One version everywhere, and the change log knows it."""
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    for name in ("Dockerfile", "compose.yaml", "kubernetes.yaml"):
        found = re.findall(r'(?:image\.version="|image: tickcast:)([0-9.]+)', (PACKAGING / name).read_text())
        demand(set(found) == {version}, f"{name} says {found}, Cargo.toml says {version}")
    demand(f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(), f"CHANGELOG.md has a section [{version}]")
    return f"version {version} in the image, the manifests and CHANGELOG.md"


def configurations(program, _tools):
    """Every configuration that is shipped is one, with the settings that its surroundings add."""
    import yaml

    service = yaml.safe_load((PACKAGING / "compose.yaml").read_text())["services"]["tickcast"]
    # ${NAME:-default} is the default.
    settings = {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for key, value in service["environment"].items()}
    image = dict(re.findall(r"(TICKCAST__\w+)=(\S+)", (PACKAGING / "Dockerfile").read_text()))
    files = [(file, {}) for file in (ROOT / "config").glob("*.toml")]
    files += [(PACKAGING / "tickcast.toml", {}), (PACKAGING / "compose.toml", image | settings)]
    with tempfile.TemporaryDirectory() as folder:
        for document in yaml.safe_load_all((PACKAGING / "kubernetes.yaml").read_text()):
            if document["kind"] == "ConfigMap":
                for name, text in document["data"].items():
                    file = Path(folder) / name
                    file.write_text(text)
                    files.append((file, image))
        for file, told in files:
            done = run([program, "check-config", "--config", file], env=os.environ | told)
            demand(done.returncode == 0, f"{file} with {told}:\n{done.stdout}{done.stderr}")
    return f"{len(files)} configurations are good"


def unit(program, _tools):
    """systemd has nothing to say about the unit."""
    if not debian.has(["systemd-analyze"], ["systemd"]):
        return "LEFT OUT: the unit, no systemd-analyze (as root: apt-get install -y systemd)"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / UNIT.name
        copy.write_text(UNIT.read_text().replace("/usr/local/bin/tickcast", str(program)))
        # Unknown keys are only warned of, and the exit code stays 0: nothing at all may be printed.
        done = run(["systemd-analyze", "verify", copy])
        demand(not done.returncode and not done.stdout + done.stderr, f"systemd-analyze verify: {done.stdout}{done.stderr}")
        done = run(["systemd-analyze", "security", "--offline=true", "--no-pager", copy])
        level = float(re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout).group(1))
        demand(level <= EXPOSURE_MAX, f"exposure {level} of at most {EXPOSURE_MAX}:\n{done.stdout}")
    return f"systemd-analyze verify prints nothing, exposure {level} of 10"


def image(_program, tools):
    """hadolint finds nothing, and what the image needs is not kept from it."""
    done = run([tools / "venv/bin/hadolint", PACKAGING / "Dockerfile"])
    demand(done.returncode == 0 and not done.stdout, f"hadolint: {done.stdout}{done.stderr}")
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    for needed in ("Cargo.toml", "Cargo.lock", "src", "config", "benches", "README.md"):
        demand(needed not in ignored, f"the build needs {needed}, .dockerignore leaves it out")
    return "hadolint finds nothing"


def compose(_program, tools):
    """The compose file is one by its schema, and what it mounts is there."""
    import jsonschema
    import yaml

    schema = json.loads((tools / "node_modules/dclint/schemas/compose.schema.json").read_text())
    document = yaml.safe_load((PACKAGING / "compose.yaml").read_text())
    wrong = [f"{'/'.join(map(str, error.path))}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(document)]
    demand(not wrong, f"compose.yaml: {wrong}")
    # The check can fail.
    broken = document | {"services": {"tickcast": document["services"]["tickcast"] | {"ulimits": {"nofile": [1]}}}}
    demand(not jsonschema.Draft7Validator(schema).is_valid(broken), "a wrong limit is noticed")
    mounts = [mount for service in document["services"].values() for mount in service.get("volumes", [])]
    for mount in mounts:
        source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0]
        if source.startswith("."):
            demand((PACKAGING / source).exists(), f"compose.yaml mounts {source}, which is not there")
        else:
            demand(source in document["volumes"], f"compose.yaml has no volume {source}")
    return f"compose.yaml is good by its schema, {len(mounts)} mounts are there"


def kubernetes(_program, tools):
    """The manifests are good by the schemas of the oldest and the newest Kubernetes."""
    for version in KUBERNETES:
        # Cluster tools read a document at a time; unknown fields are refused.
        command = [tools / "venv/bin/kubernetes-validate", "-k", version, "--strict", PACKAGING / "kubernetes.yaml"]
        done = run(command)
        demand(done.returncode == 0, f"kubernetes.yaml, {version}: {done.stdout}{done.stderr}")
    return f"kubernetes.yaml is good for Kubernetes {' and '.join(KUBERNETES)}"


def running(program, _tools):
    """The program lives under the unit's filters, and the image's health check tells a live server from none."""
    health = json.loads(re.search(r"^ +CMD (\[.*\])$", (PACKAGING / "Dockerfile").read_text(), re.M).group(1))
    said, sandbox = [], []
    if ctypes.util.find_library("seccomp") and debian.has(["systemd-analyze"], ["systemd"]):
        sandbox = [sys.executable, HERE / "sandbox.py", UNIT]
        # The filters refuse what they should: without that the rest says nothing.
        refused = run([*sandbox, sys.executable, "-c", "import socket; socket.socket(socket.AF_NETLINK)"])
        demand("Operation not permitted" in refused.stderr, f"the unit's filters refuse netlink: {refused.stderr}")
    else:
        said.append("LEFT OUT: the unit's filters, no libseccomp or systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        doors = [part for door in ("server", "sbe", "ops") for part in ("--set", f"{door}.listen=127.0.0.1:0")]
        command = [*sandbox, program, "serve", *doors, "--set", f"store.path={folder}/history.redb"]
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(f"{folder}/notify")
        manager.settimeout(PATIENCE_S)
        told = os.environ | {"NOTIFY_SOCKET": f"{folder}/notify", "WATCHDOG_USEC": "1000000"}
        with open(log, "w", encoding="utf-8") as text:
            server = subprocess.Popen(list(map(str, command)), stderr=text, env=told)
        try:
            hear(manager, "READY=1")
            hear(manager, "WATCHDOG=1")
            server.send_signal(signal.SIGHUP)
            hear(manager, "RELOADING=1")
            hear(manager, "READY=1")
            ops = until("its addresses", lambda: re.search(r"Metrics +http://([\d.:]+)/", log.read_text()), server).group(1)
            public = re.search(r"ws://([\d.:]+)/ws/", log.read_text()).group(1)
            until("readiness", lambda: status(f"http://{ops}/readyz") == 200, server)
            probe = [part.replace("127.0.0.1/9464", ops.replace(":", "/")) for part in health]
            if shutil.which(probe[0]):
                demand(run(probe).returncode == 0, "the image's health check passes")
                wrong = [part.replace("/livez", "/nothing") for part in probe]
                demand(run(wrong).returncode != 0, "the image's health check looks at the status")
            use(public)
            server.terminate()
            hear(manager, "STOPPING=1")
            server.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            demand(False, f"the server ends when it is told to:\n{log.read_text()}")
        finally:
            server.kill()
            manager.close()
        demand(server.returncode == 0, f"the server ends in order, not with {server.returncode}:\n{log.read_text()}")
        if shutil.which(probe[0]):
            demand(run(probe).returncode != 0, "the image's health check fails without a server")
            said.append("the health check tells live from dead")
        else:
            said.append(f"LEFT OUT: the health check, no {probe[0]}")
        sender = "one system call each" if "no io_uring" in log.read_text() else "io_uring"
    return "; ".join([*said, f"a server lives {'under the filters of the unit' if sandbox else 'without filters'}, sends by {sender}"])


def hear(manager, wanted):
    """Waits until the service manager is told so."""
    try:
        while wanted not in manager.recv(4096).decode().splitlines():
            pass
    except TimeoutError:
        demand(False, f"the service manager is told {wanted}")


def use(public):
    """A subscriber and a REST request, so that every kind of socket has been there."""
    host, port = public.split(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as client:
        client.sendall(
            f"GET /stream?streams=btcusdt@depth@100ms/!miniTicker@arr HTTP/1.1\r\nHost: {public}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        taken = b""
        while b"24hrMiniTicker" not in taken or b"depthUpdate" not in taken:
            got = client.recv(65536)
            demand(got, f"the stream goes on: {taken[-200:]}")
            taken += got
    demand(status(f"http://{public}/api/v3/klines?symbol=BTCUSDT&interval=1m") == 200, "REST answers")


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return None


def until(what, holds, server):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None:
        found = holds()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"packaging: FAILED: never happened within {PATIENCE_S} s: {what}")


def install():
    """A folder with the pinned tools, made once for each state of the requirement files."""
    needed = [HERE / "requirements.txt", HERE / "package.json"]
    digest = hashlib.sha256(b"\0".join([*(file.read_bytes() for file in needed), sys.version.encode()])).hexdigest()[:16]
    folder = FOLDER / digest
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(HERE / "package.json", folder)
        step([sys.executable, "-m", "venv", folder / "venv"], folder)
        step([folder / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", needed[0]], folder)
        step(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"], folder)
        (folder / "complete").touch()
    return folder


def step(command, folder):
    done = run(command, cwd=folder)
    demand(done.returncode == 0, f"cannot install (is there a network?): {shlex.join(map(str, command))}\n{done.stdout}{done.stderr}")


def run(command, **settings):
    return subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True, **settings)


def demand(holds, what):
    if not holds:
        raise SystemExit(f"packaging: FAILED: {what}")


if __name__ == "__main__":
    main()
