"""What Debian has and a test needs: looked for, and installed where that is allowed."""

import os
import shutil
import subprocess


def has(tools, packages):
    """Whether all `tools` are there; root installs `packages` if one is not."""
    there = lambda: all(shutil.which(tool) for tool in tools)
    if there():
        return True
    if os.geteuid() or not shutil.which("apt-get"):
        return False
    told = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
        if subprocess.run(["apt-get", *command], check=False, capture_output=True, env=told).returncode:
            return False
    return there()
