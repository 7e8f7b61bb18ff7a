"""Decode in a child process with limits, so that a hostile file costs its clip and nothing else."""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from mer.errors import MerError
from mer.media import errors
from mer.media.answer import check_fault, check_media
from mer.media.record import MediaRecord, content
from mer.params import DecodeParams

WORKER = (sys.executable, "-P", "-m", "mer.media.worker")
"""Without the working directory among the places to import from: it may hold anything, an `av.py` for one."""
ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # Let malloc keep what one clip's pictures leave for the next: fetching it anew from the kernel cost an eighth of
    # the time. A freed 256 MiB go back all the same.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}
"""Of a worker: one thread, for there is a worker a core; and glibc's settings, which other libraries ignore."""
START_SECONDS = 60.0
"""A worker that has not said hello by then will not."""
DYING_SECONDS = 5.0
"""What a worker that has closed its pipes may take to end."""
MAX_ANSWER = 2**31
"""Bytes: no honest answer is longer, and a broken one must not fill our memory."""
HEADER = struct.Struct(">QI")
WORKER_FAULTS = (errors.CrashedError, errors.KilledError, errors.TimedOutError, errors.OutOfMemoryError)
KILLS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""Signals that come from outside: a decoder that dies of its clip dies of another."""


class Sandbox:
    """Decodes one clip at a time in a worker process, which is replaced when it dies.

    Limits come from `DecodeParams`: `timeout_seconds` of wall time (and as much processor time) a clip, `memory_mb` of
    address space. A clip on which the worker dies, hangs or runs out of memory is tried once more in a fresh one.
    """

    def __init__(self, params: DecodeParams) -> None:
        self.params = params
        self._worker: _Worker | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def decode(self, path: str | Path) -> dict[str, Any]:
        """A row of `mer.media.record.CONTENT`.

        Raises:
            MediaError: the clip cannot be decoded.
            MerError: no worker can be started, whatever the clip.
        """
        try:
            return self._decode_once(path)
        except WORKER_FAULTS:
            if self._closed:
                raise
        return self._decode_once(path)  # what an earlier clip left behind may be to blame: once more, in a fresh worker

    def close(self) -> None:
        """End the worker, from any thread; a clip that it has in hand fails."""
        self._closed = True
        self._drop_worker()

    def _drop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()

    def _decode_once(self, path: str | Path) -> dict[str, Any]:
        if self._worker is None:
            self._worker = _Worker(self.params)
        try:
            header, blobs = self._worker.ask({"path": os.fspath(path)}, self.params.timeout_seconds)
            if "error" in header:
                name, message = check_fault(header)
                raise errors.BY_NAME.get(name, errors.MediaError)(message)
            media = _checked(header, blobs)
            check_media(media, self.params)
            return content(media)
        except WORKER_FAULTS:
            self._drop_worker()
            raise


def decode_safely(path: str | Path, params: DecodeParams) -> MediaRecord:
    """Decode one clip in a worker of its own; the clip's id is the file's name without its ending.

    Raises:
        MediaError: the clip cannot be decoded.
    """
    with Sandbox(params) as sandbox:
        return MediaRecord(clip_id=Path(path).stem, **sandbox.decode(path))


def start_worker(params: DecodeParams) -> _Worker:
    """A worker of one's own, to be closed: for who asks for more than clips."""
    return _Worker(params)


class _Worker:
    """One `mer.media.worker` process and the pipes to it."""

    def __init__(self, params: DecodeParams) -> None:
        self.process = subprocess.Popen(  # noqa: S603  (our own interpreter, our own module)
            WORKER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ENVIRONMENT},
            start_new_session=True,  # Ctrl-C is for the parent
        )
        try:
            self.ask({**params.model_dump(), "parent": os.getpid()}, START_SECONDS)
        except errors.KilledError:
            self.kill()
            raise
        except errors.MediaError as error:
            self.kill()
            raise MerError(
                f"decode.memory_mb = {params.memory_mb}: the decoding worker does not start ({error}); "
                f"see `{Path(sys.executable).name} -m mer.media.worker`"
            ) from None

    def ask(self, request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], bytes]:
        deadline = time.monotonic() + seconds
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        length, head = HEADER.unpack(self._read(HEADER.size, deadline))
        if length > MAX_ANSWER or head > length:
            raise errors.CrashedError("the decoding worker sent a broken answer")
        answer = self._read(length, deadline)
        try:
            header = json.loads(answer[:head])
        except (ValueError, RecursionError):
            header = None
        if not isinstance(header, dict):
            raise errors.CrashedError("the decoding worker sent a broken answer")
        return header, answer[head:]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    close = kill

    def _read(self, size: int, deadline: float) -> bytes:
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        data = bytearray()
        while len(data) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise errors.TimedOutError("decoding took longer than decode.timeout_seconds")
            part = os.read(pipe, min(size - len(data), 2**20))
            if not part:
                raise self._death()
            data += part
        return bytes(data)

    def _death(self) -> errors.MediaError:
        with suppress(subprocess.TimeoutExpired):  # its pipes close before it is gone: do not take our blow for its end
            self.process.wait(DYING_SECONDS)
        self.process.kill()
        code = self.process.wait()
        if code == -signal.SIGXCPU:
            return errors.TimedOutError("decoding used more processor time than decode.timeout_seconds")
        if -code in KILLS:
            return errors.KilledError(
                f"the decoder was killed by {signal.Signals(-code).name}: for memory, most often; take fewer "
                "(compute.workers), or lower decode.memory_mb"
            )
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return errors.CrashedError(f"the decoder died of {cause}")


def _checked(header: dict[str, Any], blobs: bytes) -> dict[str, Any]:
    """Cut the answer into audio and frames; sizes that do not add up count as a crash."""
    try:
        return _cut(header, blobs)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise errors.CrashedError("the decoding worker sent a broken answer") from None


def _cut(header: dict[str, Any], blobs: bytes) -> dict[str, Any]:
    sizes = [*([] if header["audio"] is None else [header["audio"]]), *header["frames"]]
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise errors.CrashedError("the decoding worker sent a broken answer")
    if sum(sizes) != len(blobs) or len(header["timestamps"]) != len(header["frames"]):
        raise errors.CrashedError("the decoding worker sent a broken answer")
    parts, at = [], 0
    for size in sizes:
        parts.append(blobs[at : at + size])
        at += size
    audio = parts.pop(0) if header["audio"] is not None else None
    return {
        "audio": audio,
        "frames": parts,
        "timestamps": [float(time) for time in header["timestamps"]],
        "duration": float(header["duration"]),
        "width": int(header["width"]),
        "height": int(header["height"]),
        "notes": [{"error": str(note["error"]), "message": str(note["message"])} for note in header["notes"]],
    }
