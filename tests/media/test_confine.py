"""Code that runs in a decoder may read and answer, and nothing else."""

from __future__ import annotations

import ctypes
import errno
import platform
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SAYS = """
import os, signal, socket, subprocess, sys, threading
from mer.media.confine import confine
parent, folder = os.getppid(), sys.argv[1]
held = confine()
def attempt(work):
    try:
        work()
    except (OSError, RuntimeError) as error:
        return type(error).__name__
    return "done"
def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
print(*held)
print(attempt(lambda: {code}))
"""
ATTEMPTS = {
    "write a file": "open(folder + '/new', 'w')",
    "change a file": "open(folder + '/there', 'a')",
    "cut a file": "os.truncate(folder + '/there', 0)",
    "remove a file": "os.unlink(folder + '/there')",
    "rename a file": "os.rename(folder + '/there', folder + '/gone')",
    "make a folder": "os.mkdir(folder + '/deeper')",
    "make a link": "os.symlink('/etc/passwd', folder + '/link')",
    "make a pipe": "os.mkfifo(folder + '/pipe')",
    "change a mode": "os.chmod(folder + '/there', 0)",
    "change a time": "os.utime(folder + '/there')",
    "change an owner": "os.chown(folder + '/there', 1, 1)",
    "hide a note": "os.setxattr(folder + '/there', 'user.note', b'x')",
    "write to /dev/shm": "open('/dev/shm/mer-test', 'w')",
    "connect": "socket.create_connection(('127.0.0.1', 9))",
    "listen": "socket.create_server(('127.0.0.1', 0))",
    "ask a name server": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))",
    "talk to a local socket": "socket.socket(socket.AF_UNIX)",
    "start a program": "subprocess.run(['/bin/true'])",
    "become a program": "os.execv('/bin/true', ['true'])",
    "fork": "fork()",
    "signal another process": "os.kill(parent, signal.SIGUSR1)",
}
HARMLESS = {
    "read a file": "open(folder + '/there').read()",
    "list a folder": "os.listdir(folder)",
    "start a thread": "threading.Thread(target=len, args=('',)).start()",
    "import": "__import__('email.mime.text')",
    "abort": "signal.raise_signal(signal.SIGURG)",
    "signal itself": "os.kill(os.getpid(), 0)",
}


def require_kernel(held: str) -> None:
    """Skip where the kernel itself, asked without `confine`, has no Landlock or no seccomp; else both must hold."""
    version = ctypes.CDLL(None).syscall(ctypes.c_long(444), None, ctypes.c_long(0), ctypes.c_long(1))
    if version < 1 or not Path("/proc/sys/kernel/seccomp/actions_avail").exists():
        pytest.skip(f"this kernel gives {held or 'nothing'}")
    assert set(held.split()) == {"landlock", "seccomp"}


def tried(code: str, folder: Path) -> list[str]:
    (folder / "there").write_text("there")
    done = subprocess.run(
        [sys.executable, "-c", SAYS.replace("{code}", code), str(folder)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=True,
    )
    held, *_, answer = done.stdout.split("\n")[:-1]
    require_kernel(held)
    return [answer]


@pytest.mark.parametrize("what", ATTEMPTS)
def test_a_confined_process_cannot(tmp_path: Path, what: str) -> None:
    assert tried(ATTEMPTS[what], tmp_path)[0] != "done"
    assert (tmp_path / "there").read_text() == "there"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("what", HARMLESS)
def test_a_confined_process_can(tmp_path: Path, what: str) -> None:
    assert tried(HARMLESS[what], tmp_path) == ["done"]


RAW = """
import ctypes, os, sys
from mer.media.confine import confine
print(*confine())
libc = ctypes.CDLL(None, use_errno=True)
for number in map(int, sys.argv[1:]):
    ctypes.set_errno(0)
    arguments = [ctypes.c_long(0 if number in (56, 57, 58) else -1)] * 6
    found = libc.syscall(ctypes.c_long(number), *arguments)
    if found == 0 and number in (56, 57, 58):
        os._exit(0)
    print(number, found, ctypes.get_errno())
"""
CALLS = {
    "a socket": [41, 42, 49],
    "a process": [56, 57, 58],
    "a program": [59, 322],
    "another's memory": [101, 310, 311],
    "io_uring": [425],
    "modes": [90, 91, 268, 452],
    "owners": [92, 93, 94, 260],
    "times": [132, 235, 261, 280],
    "attributes": [188, 189, 190, 197, 198, 199],
    "signals": [62, 200, 234, 129, 297, 424],
    "32-bit pointers": [0x40000000 + 41, 0x40000000 + 59],
}
"""Of x86_64, by number."""


def answers(*numbers: int) -> list[str]:
    """What the kernel says to each call: its number, result and error."""
    done = subprocess.run(
        [sys.executable, "-c", RAW, *map(str, numbers)], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    held, *found = done.stdout.splitlines()
    require_kernel(held)
    return found


@pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls are known by their numbers here")
@pytest.mark.parametrize("what", CALLS)
def test_the_kernel_itself_says_no(what: str) -> None:
    assert answers(*CALLS[what]) == [f"{number} -1 {errno.EPERM}" for number in CALLS[what]]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls are known by their numbers here")
def test_a_process_cannot_be_made_by_a_call_whose_flags_are_hidden() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RAW, "435"], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    held, answer = done.stdout.splitlines()
    if "seccomp" not in held:
        pytest.skip(f"this kernel gives {held or 'nothing'}")
    assert answer == f"435 -1 {errno.ENOSYS}"


def test_the_decoding_worker_is_confined() -> None:
    from mer.media.sandbox import Sandbox
    from mer.params import DecodeParams

    with Sandbox(DecodeParams()) as box:
        with pytest.raises(Exception, match="No such file"):
            box.decode("nowhere.mp4")
        assert box._worker is not None
        status = Path(f"/proc/{box._worker.process.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
