"""The sandbox: whatever a clip does to the decoder costs that clip, and no more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mer.errors import MachineError, MerError
from mer.media import errors, sandbox
from mer.media.decode import decode_clip
from mer.media.record import CONTENT, SCHEMA
from mer.media.sandbox import Sandbox, decode_safely
from mer.params import DecodeParams
from tests.media.making import write_clip

PARAMS = DecodeParams(timeout_seconds=60.0)
BAD_DECODER = """
import os, sys, time
import mer.media.worker as worker
real = worker.decode_clip
def bad(path, params):
    name = os.path.basename(path)
    if name.startswith("crash"): os.kill(os.getpid(), 11)
    if name.startswith("exit"): os._exit(3)
    if name.startswith("hang"): time.sleep(1000)
    if name.startswith("greedy"): bytearray(2 ** 40)
    if name.startswith("write"): open(path + ".out", "wb", buffering=0).write(b"x")
    if name.startswith("print"): print("noise on standard output" * 100, flush=True)
    return real(path, params)
worker.decode_clip = bad
worker.main()
"""


@pytest.fixture
def bad_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that crashes, hangs or eats memory by the name of the clip."""
    monkeypatch.setattr(sandbox, "WORKER", (sys.executable, "-c", BAD_DECODER))


def test_the_sandbox_gives_what_decoding_here_gives(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a b.mp4")
    record, media = decode_safely(path, PARAMS), decode_clip(path, PARAMS)
    assert record.clip_id == "a b"
    assert media.audio is not None
    np.testing.assert_allclose(record.waveform(), media.audio, atol=1 / 32768)
    for image, frame in zip(record.images(), media.frames, strict=True):
        assert np.abs(image.astype(int) - frame).mean() < 3
    assert record.timestamps == media.timestamps
    assert (record.duration, record.width, record.height) == (media.duration, media.width, media.height)


def test_records_fit_their_schema_and_same_content_has_the_same_digests(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    other = write_clip(tmp_path / "b.mp4", levels=(0.1, 0.1))
    with Sandbox(PARAMS) as box:
        first, again, louder = box.decode(path), box.decode(path), box.decode(other)
    assert set(first) == set(CONTENT.names)
    assert set(decode_safely(path, PARAMS).as_dict()) == set(SCHEMA.names)
    assert first == again
    assert first["frames_sha256"] == louder["frames_sha256"]
    assert first["audio_sha256"] != louder["audio_sha256"]


@pytest.mark.usefixtures("bad_decoder")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("crash.mp4", errors.CrashedError),
        ("exit.mp4", errors.CrashedError),
        ("greedy.mp4", errors.OutOfMemoryError),
    ],
)
def test_a_bad_clip_costs_itself_alone(tmp_path: Path, name: str, kind: type[errors.MediaError]) -> None:
    good = write_clip(tmp_path / "good.mp4", seconds=0.4)
    bad = tmp_path / name
    bad.write_bytes(good.read_bytes())
    with Sandbox(PARAMS) as box:
        box.decode(good)
        with pytest.raises(kind):
            box.decode(bad)
        assert box.decode(good)["frames"]


@pytest.mark.usefixtures("bad_decoder")
def test_a_clip_that_hangs_is_given_up_after_its_time(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "hang.mp4", seconds=0.4)
    begin = time.monotonic()
    with (
        Sandbox(DecodeParams(timeout_seconds=0.5)) as box,
        pytest.raises(errors.TimedOutError, match="timeout_seconds"),
    ):
        box.decode(path)
    assert time.monotonic() - begin < 10


@pytest.mark.usefixtures("bad_decoder")
def test_the_decoder_cannot_write_files(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "write.mp4", seconds=0.4)
    with Sandbox(PARAMS) as box, pytest.raises(errors.CrashedError):
        box.decode(path)
    assert not (tmp_path / "write.mp4.out").exists() or not (tmp_path / "write.mp4.out").stat().st_size


@pytest.mark.usefixtures("bad_decoder")
def test_what_a_library_prints_does_not_mix_with_answers(tmp_path: Path) -> None:
    assert decode_safely(write_clip(tmp_path / "print.mp4", seconds=0.4), PARAMS).frames


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_lost_through_no_fault_of_the_clip_costs_nothing(tmp_path: Path, blow: signal.Signals) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=0.4)
    with Sandbox(DecodeParams(timeout_seconds=2.0)) as box:
        box.decode(path)
        assert box._worker is not None
        os.kill(box._worker.process.pid, blow)
        assert box.decode(path)["frames"]


def test_too_little_memory_to_start_names_the_parameter() -> None:
    with Sandbox(DecodeParams(memory_mb=1)) as box, pytest.raises(MerError, match=r"decode\.memory_mb"):
        box.decode("a.mp4")


def test_decoders_killed_at_their_start_are_not_laid_to_the_params(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=0.4)
    dying = (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    monkeypatch.setattr("mer.media.sandbox.WORKER", dying)
    with Sandbox(PARAMS) as box, pytest.raises(errors.KilledError, match="SIGKILL at its start") as caught:
        box.decode(path)
    assert isinstance(caught.value, MachineError)
    assert "decode.memory_mb" not in str(caught.value)


def test_a_decoder_that_does_not_start_is_not_laid_to_the_params(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mer.media.sandbox.WORKER", (sys.executable, "-c", "import no_such_module"))
    with Sandbox(PARAMS) as box, pytest.raises(MerError, match=r"does not start: .*exit status 1") as caught:
        box.decode("a.mp4")
    assert "decode.memory_mb" not in str(caught.value)


def test_closing_leaves_no_process(tmp_path: Path) -> None:
    box = Sandbox(PARAMS)
    box.decode(write_clip(tmp_path / "a.mp4", seconds=0.4))
    assert box._worker is not None
    process = box._worker.process
    box.close()
    assert process.poll() is not None


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=0.4)
    script = (
        "import os, sys, signal; from mer.media.sandbox import Sandbox; from mer.params import DecodeParams;"
        "box = Sandbox(DecodeParams()); box.decode(sys.argv[1]); print(box._worker.process.pid, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    worker = int(done.stdout)
    for _ in range(50):
        if not _is_running(worker):
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived its parent")


def _is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
