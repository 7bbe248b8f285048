#!/usr/bin/env python3
"""Runs a command under the seccomp filters that a systemd unit asks for, without systemd.

    python3 sandbox.py UNIT COMMAND...

SystemCallFilter, SystemCallErrorNumber, RestrictAddressFamilies and MemoryDenyWriteExecute are what systemd makes seccomp filters of.
NoNewPrivileges comes with them. Needs libseccomp and systemd-analyze, which knows the sets of system calls.
"""

import ctypes
import ctypes.util
import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EQUAL, MASKED_EQUAL = 4, 7
WRITE, EXECUTE = 2, 4


class Argument(ctypes.Structure):
    """libseccomp's scmp_arg_cmp."""

    _fields_ = [("number", ctypes.c_uint), ("comparison", ctypes.c_int), ("one", ctypes.c_uint64), ("other", ctypes.c_uint64)]


def main():
    unit, command = Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2:]
    values = lambda key: re.findall(rf"^{key}=(.*)$", unit, re.M)
    number = getattr(errno, values("SystemCallErrorNumber")[-1])
    names = allowed(values("SystemCallFilter"))
    families = [getattr(socket, family) for family in values("RestrictAddressFamilies")[-1].split()]
    assert values("MemoryDenyWriteExecute") == ["yes"] and values("NoNewPrivileges") == ["yes"]

    library = ctypes.CDLL(ctypes.util.find_library("seccomp") or "libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ERRNO | number))

    def allow(name, *arguments):
        call = library.seccomp_syscall_resolve_name(name.encode())
        # Names of other architectures and of newer kernels than the library are none to it.
        if call >= 0:
            array = (Argument * len(arguments))(*arguments)
            done = library.seccomp_rule_add_array(context, ALLOW, call, len(arguments), array)
            assert done == 0, f"{name}: {os.strerror(-done)}"

    for name in sorted(names):
        if name == "socket":
            for family in families:
                allow(name, Argument(0, EQUAL, family, 0))
        elif name == "mmap":
            for protection in (0, WRITE, EXECUTE):
                allow(name, Argument(2, MASKED_EQUAL, WRITE | EXECUTE, protection))
        elif name in ("mprotect", "pkey_mprotect"):
            allow(name, Argument(2, MASKED_EQUAL, EXECUTE, 0))
        else:
            allow(name)
    # Loading sets no_new_privs as well.
    assert library.seccomp_load(context) == 0
    os.execv(command[0], command)


def allowed(lines):
    """The system calls that the lines of SystemCallFilter let through, later ones over earlier ones."""
    names = set()
    for line in lines:
        expanded = set().union(*map(members, line.lstrip("~").split()))
        names = names - expanded if line.startswith("~") else names | expanded
    return names


def members(name):
    if not name.startswith("@"):
        return {name}
    told = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], check=True, capture_output=True, text=True)
    lines = [line.strip() for line in told.stdout.splitlines()[1:]]
    return set().union(*(members(line) for line in lines if line and not line.startswith("#")))


if __name__ == "__main__":
    main()
