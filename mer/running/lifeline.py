"""No process of ours outlives the one that it works for, and no two write the same outs.

Without this, a killed `dvc repro` leaves its stage at work: parameters are changed, the pipeline runs again, and then
the old stage ends and overwrites what the new one wrote.
"""

from __future__ import annotations

import fcntl
import os
import select
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from mer.errors import MerError
from mer.running.machine import explain

LOCKS = Path(".dvc/tmp/mer")
"""In a workspace of DVC's: not in git, and gone with the workspace."""
WAIT_SECONDS = 10.0
"""What an orphan may take to notice that it is one, and a little more."""
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish", "busybox")
REAPERS = ("init", "systemd", "tini", "dumb-init", "docker-init", "catatonit")
"""Who adopts the child of a process that has died."""
POLL_SECONDS = 0.5
"""Between two looks at the parent, where the kernel cannot tell of its end."""


def end_with(pids: Sequence[int]) -> None:
    """End this process as soon as one of the processes has ended; at once if one is gone already."""
    threading.Thread(target=_watch, args=(list(pids),), name="mer-lifeline", daemon=True).start()


def end_with_parent(parent: int) -> None:
    """End this process as soon as its parent has; `parent` is the process id that the parent itself has told.

    Asked for here it may be another's: where the parent died while this process began, that of who adopted it.
    """
    if os.getppid() != parent:
        os._exit(1)
    end_with([parent])


def _watch(pids: list[int]) -> None:
    handles: list[int] = []
    try:
        poll = select.poll()
        for pid in pids:
            handles.append(os.pidfd_open(pid))
            poll.register(handles[-1], select.POLLIN)
        poll.poll()
    except ProcessLookupError:
        pass
    except (AttributeError, OSError):  # no such call here
        while all(_alive(pid) for pid in pids):
            time.sleep(POLL_SECONDS)
    finally:
        for handle in handles:
            os.close(handle)
    os._exit(1)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def runners() -> list[int]:
    """The processes that a stage of DVC's works for: DVC, and the shells between; none where a person started it."""
    if "DVC_STAGE" not in os.environ:
        return []
    chain = [os.getppid()]
    while (above := _parent(chain[-1])) and _name(chain[-1]) in SHELLS:
        chain.append(above)
    return chain


def _parent(pid: int) -> int:
    """0 where that is not known."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


@contextmanager
def stage_alone(name: str) -> Iterator[None]:
    """While a stage runs: it ends with the DVC that started it, and no other run of it writes in this workspace.

    Raises:
        MerError: another run of the stage is at work in this workspace, and goes on.
    """
    above = runners()
    if any(pid == 1 or _name(pid) in REAPERS for pid in above):
        raise MerError("dvc was killed before its stage began: nothing was done")
    if above:
        end_with(above)
    if not Path(".dvc").is_dir():
        yield
        return
    try:
        LOCKS.mkdir(parents=True, exist_ok=True)
        file = open(LOCKS / f"{name}.lock", "a+")  # noqa: SIM115
    except OSError as error:
        raise MerError(explain(error, LOCKS)) from None
    with file:
        _take(file, name)
        yield


def _take(file: TextIO, name: str) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise MerError(
                    f"{name}: another run of this stage is at work in this folder; wait for it, or end it"
                ) from None
            time.sleep(0.1)
        else:
            return
