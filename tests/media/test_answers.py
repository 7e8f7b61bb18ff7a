"""A decoder that a hostile file has taken over may say anything: the clip fails, the run and the cache do not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mer.media import encode, sandbox
from mer.media.errors import MediaError
from mer.media.sandbox import Sandbox
from mer.params import DecodeParams

FLAC = encode.flac(np.zeros(1600, np.float32))
JPEG = encode.jpeg(np.zeros((20, 30, 3), np.uint8), 90)
HONEST: dict[str, object] = {
    "audio": len(FLAC),
    "frames": [len(JPEG)],
    "timestamps": [0.5],
    "duration": 1.0,
    "width": 30,
    "height": 20,
    "notes": [{"error": "few_frames", "message": "1 of 8"}],
}
ROGUE = """
import struct, sys
from pathlib import Path
def send(data):
    sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
hello = b'{"ready": true}'
sys.stdin.buffer.readline()
send(struct.pack(">QI", len(hello), len(hello)) + hello)
for line in sys.stdin.buffer:
    send(Path(sys.argv[1]).read_bytes())
"""


def changed(**values: object) -> bytes:
    return json.dumps({**HONEST, **values}).encode()


def wide(width: int) -> bytes:
    """A JPEG whose header lies about its size."""
    at = JPEG.index(b"\xff\xc0")
    return JPEG[: at + 7] + width.to_bytes(2, "big") + JPEG[at + 9 :]


def long(samples: int) -> bytes:
    """A FLAC whose header announces so many samples."""
    packed = int.from_bytes(FLAC[18:26], "big") >> 36 << 36 | samples
    return FLAC[:18] + packed.to_bytes(8, "big") + FLAC[26:]


FORGED = {
    "no JSON": (b"{", FLAC + JPEG),
    "a list": (b"[1, 2]", FLAC + JPEG),
    "nested": (b"[" * 100_000, b""),
    "nothing in it": (b"{}", b""),
    "not a number": (changed(duration=float("nan")), FLAC + JPEG),
    "infinite": (changed(duration=1e999), FLAC + JPEG),
    "a text for a number": (changed(width="thirty"), FLAC + JPEG),
    "a list for a number": (changed(duration=[1]), FLAC + JPEG),
    "huge": (changed(width=10**30), FLAC + JPEG),
    "negative": (changed(height=-1), FLAC + JPEG),
    "longer than allowed": (changed(duration=10**6), FLAC + JPEG),
    "late": (changed(timestamps=[1e9]), FLAC + JPEG),
    "without time": (changed(timestamps=[None]), FLAC + JPEG),
    "fewer times": (changed(timestamps=[]), FLAC + JPEG),
    "negative sizes": (changed(audio=len(FLAC) + len(JPEG) + 5, frames=[-5]), FLAC + JPEG),
    "half sizes": (changed(audio=len(FLAC) + 0.5, frames=[len(JPEG) - 0.5]), FLAC + JPEG),
    "sizes beyond": (changed(audio=10**12), FLAC + JPEG),
    "true for a size": (changed(audio=True, frames=[len(FLAC) + len(JPEG) - 1]), FLAC + JPEG),
    "a text of frames": (changed(frames="ab"), FLAC + JPEG),
    "more frames than asked for": (
        changed(frames=[len(JPEG)] * 100, timestamps=[0.0] * 100), FLAC + JPEG * 100,
    ),
    "no FLAC": (changed(), b"x" * len(FLAC) + JPEG),
    "endless FLAC": (changed(), long(2**36 - 1) + JPEG),
    "no JPEG": (changed(), FLAC + b"x" * len(JPEG)),
    "an enormous JPEG": (changed(), FLAC + wide(65_500)),
    "a note of no known kind": (changed(notes=[{"error": "drop table", "message": "x"}]), FLAC + JPEG),
    "notes that are none": (changed(notes="ab"), FLAC + JPEG),
    "an empty frame": (changed(frames=[0]), FLAC),
    "a fault without a name": (b'{"error": null, "message": "x"}', b""),
    "a fault that is a list": (b'{"error": ["x"], "message": {"a": 1}}', b""),
    "a fault without a message": (b'{"error": "crashed"}', b""),
}  # fmt: skip


def answer_to(tmp_path: Path, header: bytes, blobs: bytes, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    file = tmp_path / "answer"
    file.write_bytes(sandbox.HEADER.pack(len(header) + len(blobs), len(header)) + header + blobs)
    monkeypatch.setattr(sandbox, "WORKER", (sys.executable, "-S", "-c", ROGUE, str(file)))
    with Sandbox(DecodeParams()) as box:
        return box.decode("clip.mp4")


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_answer_costs_the_clip(tmp_path: Path, forgery: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MediaError) as caught:
        answer_to(tmp_path, *FORGED[forgery], monkeypatch)
    assert "\n" not in str(caught.value)


def test_an_honest_answer_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = answer_to(tmp_path, changed(), FLAC + JPEG, monkeypatch)
    assert (record["audio"], record["frames"]) == (FLAC, [JPEG])


def test_a_message_is_fit_for_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = json.dumps({"error": "unheard_of", "message": "a\nb\x1b[2J" + "x" * 10**5}).encode()
    with pytest.raises(MediaError) as caught:
        answer_to(tmp_path, fault, b"", monkeypatch)
    assert str(caught.value).startswith("a b [2J")
    assert len(str(caught.value)) <= 500
