"""`mer serve` under load: clients at a time for a while, then hostile uploads; it must answer all and stay up.

python -m benchmarks.serve data/models/bundle sample/corpus/video-labeled --clients 16 --seconds 60 --hostile 1000

The server runs in a process of its own on this machine's loopback address and nowhere else. Figures: answers a second
beside the same clips predicted one after another through the Python door, times to an answer, refusals with
Retry-After, and the server's memory before and after.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mer import load_bundle
from mer.errors import MerError

MEDIA = {".mp4", ".wav", ".mkv", ".webm", ".avi", ".mov", ".m4a", ".mp3"}
ALONE = 12
"""Clips that the Python door predicts one after another, to compare with."""
TIMEOUT = 180
PAUSE = 0.05
"""Least seconds between two tries of a client that was sent away, whatever it was told: the load is to stay high."""


@dataclass
class Tally:
    """What clients were answered."""

    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    without_retry: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, status: str, seconds: float, retry: str | None) -> None:
        with self.lock:
            self.answers[status] += 1
            if status == "200":
                self.seconds.append(seconds)
            self.without_retry += status in ("429", "503") and retry is None


@contextmanager
def serving(bundle: Path, extra: Sequence[str], temporary: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A server in a process of its own; its port and the process."""
    command = [sys.executable, "-m", "mer.cli", "serve", str(bundle), "--port", "0", *extra]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)})
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        if found is None:
            raise MerError(f"the server did not start: {line.strip() or 'it said nothing'}")
        yield int(found[1]), process
    finally:
        process.terminate()
        process.wait(30)


def ask(port: int, content: bytes, tally: Tally, *, announced: int | None = None, cut: bool = False) -> None:
    """Send a clip; with `announced` lie about its length, with `cut` go away in the middle."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    began = time.monotonic()
    try:
        connection.putrequest("POST", "/api/predict?pictures=true")
        connection.putheader("Content-Length", str(len(content) if announced is None else announced))
        connection.endheaders()
        connection.send(content[: len(content) // 2] if cut else content)
        if cut:
            tally.add("gone", 0.0, None)
            return
        answer = connection.getresponse()
        answer.read()
        tally.add(str(answer.status), time.monotonic() - began, answer.getheader("Retry-After"))
    except (OSError, http.client.HTTPException) as error:
        tally.add(type(error).__name__, 0.0, None)
    finally:
        connection.close()


def under_load(port: int, clips: Sequence[bytes], clients: int, seconds: float) -> Tally:
    """So many clients, each sending one clip after another until the time is over."""
    tally, end = Tally(), time.monotonic() + seconds

    def client(number: int) -> None:
        chosen = random.Random(number)  # noqa: S311
        while time.monotonic() < end:
            before = tally.answers["200"]
            ask(port, chosen.choice(clips), tally)
            if tally.answers["200"] == before:
                time.sleep(PAUSE)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


def hostile(clips: Sequence[bytes], count: int, seed: int = 0) -> Iterator[tuple[bytes, int | None, bool]]:
    """Uploads of clips that are cut, overwritten, swapped, lied about or abandoned, and of no clips at all."""
    chosen = random.Random(seed)  # noqa: S311
    lists = [b"#EXTM3U\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n", b"\0" * 4096, b""]
    for number in range(count):
        clip = bytearray(chosen.choice(clips))
        kind = number % 8
        if kind == 0:
            yield bytes(clip[: chosen.randrange(len(clip))]), None, False
        elif kind == 1:
            for _ in range(chosen.randrange(1, 200)):
                clip[chosen.randrange(len(clip))] = chosen.randrange(256)
            yield bytes(clip), None, False
        elif kind == 2:  # a header of lies: the first boxes
            for _ in range(20):
                clip[chosen.randrange(min(len(clip), 512))] = chosen.randrange(256)
            yield bytes(clip), None, False
        elif kind == 3:
            yield chosen.choice(lists), None, False
        elif kind == 4:
            yield chosen.randbytes(chosen.randrange(1, 200_000)), None, False
        elif kind == 5:
            yield bytes(clip), None, True
        elif kind == 6:
            yield b"", 2 * 2**30, False
        else:  # the head of one file and the tail of another
            other = chosen.choice(clips)
            at = chosen.randrange(len(clip))
            yield bytes(clip[:at]) + other[at:], None, False


def media(folders: Sequence[Path]) -> list[bytes]:
    """The clips that lie in folders."""
    found = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix.lower() in MEDIA]
    if not found:
        raise MerError(f"no media in {', '.join(map(str, folders))}")
    return [path.read_bytes() for path in found]


def memory(process: subprocess.Popen[str]) -> float:
    """MiB resident, of the server alone and not of its decoders."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def alone(bundle: Path, clips: Sequence[bytes], folder: Path) -> float:
    """Clips a second through the Python door, one after another."""
    predictor = load_bundle(bundle).ready()
    paths = [folder / f"alone_{number}" for number in range(min(ALONE, len(clips)))]
    for path, clip in zip(paths, clips, strict=False):
        path.write_bytes(clip)
    predictor.predict([paths[0]])
    began = time.monotonic()
    for path in paths:
        predictor.predict([path])
    return len(paths) / (time.monotonic() - began)


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("clips", type=Path, help="folder of clips to send")
    parser.add_argument("--cases", type=Path, action="append", default=[], help="more files to make hostile ones of")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--hostile", type=int, default=1000)
    given = parser.parse_args()
    clips = media([given.clips])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        single = alone(given.bundle, clips, folder)
        spool = folder / "spool"
        spool.mkdir()
        with serving(given.bundle, ["--per-client", str(given.clients)], spool) as (port, process):
            ask(port, clips[0], Tally())
            start = memory(process)
            loaded = under_load(port, clips, given.clients, given.seconds)
            after = memory(process)
            tally = Tally()
            for content, announced, cut in hostile(
                [*clips, *(media(given.cases) if given.cases else [])], given.hostile
            ):
                ask(port, content, tally, announced=announced, cut=cut)
            last = Tally()
            ask(port, clips[0], last)
            alive = process.poll() is None and last.answers["200"] + last.answers["422"] == 1
            left = [str(path) for path in spool.rglob("*") if path.is_file() and path.name != "lock"]
            end = memory(process)
        gone = not any(spool.iterdir())
    done = len(loaded.seconds)
    figures = {
        "clients": given.clients,
        "answers": dict(loaded.answers),
        "clips_per_second": round(done / given.seconds, 2),
        "one_after_another": round(single, 2),
        "ratio": round(done / given.seconds / single, 2),
        "median_seconds": round(percentile(loaded.seconds, 0.5), 2),
        "p95_seconds": round(percentile(loaded.seconds, 0.95), 2),
        "refused_without_retry_after": loaded.without_retry,
        "hostile": dict(sorted(tally.answers.items())),
        "alive": alive,
        "left_on_disk": left,
        "temporary_folder_empty_in_the_end": gone,
        "memory_mib": [round(start), round(after), round(end)],
    }
    print(json.dumps(figures, indent=1))
    if not alive or left or not gone or loaded.without_retry:
        sys.exit(1)


if __name__ == "__main__":
    main()
