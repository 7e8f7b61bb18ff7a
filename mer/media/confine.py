"""Take away from a process what decoding does not need: writing, connecting, starting programs.

Landlock (Linux 5.13 and later) denies every change to the file system and, from 6.7, TCP; seccomp denies sockets, new
processes and programs, and looking into other processes. Both hold for the rest of the process' life. What stays is
reading files as the user may, and answering. Where the kernel has neither, limits on memory, time and file size remain,
and the worker is no security boundary.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from contextlib import suppress

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION_FLAG = 1
PATH_BENEATH = 1
READ_FILE, READ_DIR = 1 << 2, 1 << 3
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights on files each version of Landlock knows; later ones know as many as the last."""
NET_VERSION, NET_RIGHTS = 4, 0b11
SCOPE_VERSION, SCOPES = 6, 0b11

NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
CLONE_THREAD = 0x00010000
X32 = 0x40000000
DENIED = {
    "x86_64": {
        "arch": 0xC000003E,
        # socket, connect, bind, fork, vfork, execve, execveat, ptrace, process_vm_readv and _writev, io_uring_setup;
        # chmod, chown, utime, setxattr, removexattr with their kin, which Landlock leaves open; other ways to signal
        "calls": (
            *(41, 42, 49, 57, 58, 59, 322, 101, 310, 311, 425),
            *(90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280, 188, 189, 190, 197, 198, 199),
            *(200, 129, 297, 424),
        ),
        "kill": (62, 234),
        "clone": 56,
    },
    "aarch64": {
        "arch": 0xC00000B7,
        "calls": (
            *(198, 203, 200, 221, 281, 117, 270, 271, 425),
            *(52, 53, 452, 54, 55, 88, 5, 6, 7, 14, 15, 16),
            *(130, 138, 240, 424),
        ),
        "kill": (129, 131),
        "clone": 220,
    },
}
CLONE3 = 435
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def confine() -> list[str]:
    """Confine this process as far as the kernel can; the names of what took hold."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return []
    held = []
    with suppress(OSError):
        _landlock(libc)
        held.append("landlock")
    with suppress(OSError, KeyError):
        _seccomp(libc, platform.machine())
        held.append("seccomp")
    return held


def _landlock(libc: ctypes.CDLL) -> None:
    version = _call(libc, CREATE_RULESET, None, 0, VERSION_FLAG)
    rights = (1 << FILE_RIGHTS[min(version, max(FILE_RIGHTS))]) - 1
    network = NET_RIGHTS if version >= NET_VERSION else 0
    scopes = SCOPES if version >= SCOPE_VERSION else 0
    # A kernel takes the fields that it knows; later ones must not be there, or be zero.
    size = 24 if version >= SCOPE_VERSION else 16 if version >= NET_VERSION else 8
    attributes = struct.pack("=QQQ", rights, network, scopes)[:size]
    rules = _call(libc, CREATE_RULESET, ctypes.create_string_buffer(attributes, size), size, 0)
    top = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        beneath = struct.pack("=Qi", READ_FILE | READ_DIR, top)
        _call(libc, ADD_RULE, rules, PATH_BENEATH, ctypes.create_string_buffer(beneath, len(beneath)), 0)
        _call(libc, RESTRICT_SELF, rules, 0)
    finally:
        os.close(top)
        os.close(rules)


def _call(libc: ctypes.CDLL, number: int, *arguments: object) -> int:
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _seccomp(libc: ctypes.CDLL, machine: str) -> None:
    program = _program(machine)
    code = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    filter_ = Program(len(program) // 8, ctypes.addressof(code))
    if libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(filter_), 0, 0):
        code_ = ctypes.get_errno()
        raise OSError(code_, os.strerror(code_))


def _program(machine: str) -> bytes:
    """Classic BPF over the system call's number (offset 0), architecture (4) and first argument (16)."""
    table = DENIED[machine]
    calls = table["calls"]
    assert isinstance(calls, tuple)

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    steps = [step(LOAD, 4), step(EQUAL, table["arch"], 1, 0), step(RETURN, KILL), step(LOAD, 0)]  # type: ignore[arg-type]
    steps += [step(AT_LEAST, X32, 0, 1), step(RETURN, ERRNO | EPERM)]
    # glibc goes back to clone, whose flags can be seen, where there is no clone3.
    steps += [step(EQUAL, CLONE3, 0, 1), step(RETURN, ERRNO | ENOSYS)]
    for number in calls:
        steps += [step(EQUAL, number, 0, 1), step(RETURN, ERRNO | EPERM)]
    for number in table["kill"]:  # type: ignore[attr-defined]
        # A signal may go to this very process (abort), never to another.
        steps += [step(EQUAL, number, 0, 4), step(LOAD, 16), step(EQUAL, os.getpid(), 1, 0)]
        steps += [step(RETURN, ERRNO | EPERM), step(RETURN, ALLOW)]
    steps += [step(EQUAL, table["clone"], 0, 3), step(LOAD, 16), step(ANY_BIT, CLONE_THREAD, 1, 0)]  # type: ignore[arg-type]
    steps += [step(RETURN, ERRNO | EPERM), step(RETURN, ALLOW)]
    return b"".join(steps)
