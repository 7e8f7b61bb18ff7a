"""Code that runs in a decoder may read and answer, and nothing else."""

from __future__ import annotations

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
    "start a thread": "threading.Thread(target=print).start()",
    "import": "__import__('email.mime.text')",
    "abort": "signal.raise_signal(signal.SIGURG)",
    "signal itself": "os.kill(os.getpid(), 0)",
}


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
    if set(held.split()) != {"landlock", "seccomp"}:
        pytest.skip(f"this kernel gives {held or 'nothing'}")
    return [answer]


@pytest.mark.parametrize("what", ATTEMPTS)
def test_a_confined_process_cannot(tmp_path: Path, what: str) -> None:
    assert tried(ATTEMPTS[what], tmp_path)[0] != "done"
    assert (tmp_path / "there").read_text() == "there"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("what", HARMLESS)
def test_a_confined_process_can(tmp_path: Path, what: str) -> None:
    assert tried(HARMLESS[what], tmp_path) == ["done"]


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
