"""The decode stage: every clip is in the outs or in quarantine, and nothing finished is ever done again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from mer.clips import read_clips, write_clips
from mer.errors import MerError
from mer.extraction import decode as stage
from mer.extraction import sources
from mer.extraction.decode import decode_corpus
from mer.extraction.media import Media
from mer.extraction.per_clip import Place
from mer.params import ComputeParams, DecodeParams
from mer.store.manifest import read_manifest
from tests.media.making import write_clip

ROOT = Path(__file__).parents[2]
PARAMS = DecodeParams(frames=2, timeout_seconds=60.0, max_failed=1.0)
ONE = ComputeParams(workers=1)
MUTANTS = int(os.environ.get("MER_MUTANTS", "60"))
KILLS = int(os.environ.get("MER_KILLS", "2"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    return tmp_path / "corpus"


def table(root: Path, paths: Sequence[str]) -> pd.DataFrame:
    """What ingest writes."""
    ids = [f"clip {n}" for n in range(len(paths))]
    return pd.DataFrame({"clip_id": ids, "path": list(paths), "sha256": list(sources.file_digests(root, paths))})


def run(
    root: Path, paths: Sequence[str], params: DecodeParams = PARAMS, compute: ComputeParams = ONE
) -> tuple[tuple[int, int, int], Media, pd.DataFrame]:
    """Clips decoded, found in the cache and failed; the media; the quarantine table."""
    out, clips = root.parent / "out", table(root, paths)
    out.mkdir(exist_ok=True)
    write_clips(out / "clips.parquet", clips)
    done = decode_corpus(clips, root, params, compute, out)
    media = Media(read_manifest(out / "manifests/decode.parquet"), Place(out, clips), root, params, compute)
    report = (done.computed, done.cached, len(done.failed))
    return report, media, pd.read_parquet(out / "quarantine/decode.parquet")


def decoded(media: Media) -> list[str]:
    return [clip_id for clip_id, key in media.manifest.keys.items() if key is not None]


def written(root: Path) -> dict[str, bytes]:
    """All that the stage gives: its outs, and the media that they refer to."""
    out = root.parent / "out"
    clips = read_clips(out / "clips.parquet")
    files = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.parquet"))}
    media = Media(read_manifest(out / "manifests/decode.parquet"), Place(out, clips), root, PARAMS, ONE)
    for record in media.records(list(clips["clip_id"]), ["audio", "frames", "timestamps"]):
        files[record.clip_id] = repr(record).encode()
    return files


def corpus(root: Path, count: int) -> list[str]:
    return [write_clip(root / f"{n}.mp4", seconds=0.2 + 0.04 * n).name for n in range(count)]


def test_clips_come_in_the_order_of_the_table(root: Path) -> None:
    paths = corpus(root, 5)[::-1]
    report, media, quarantine = run(root, paths, compute=ComputeParams(workers=2))
    assert report == (5, 0, 0)
    assert decoded(media) == [f"clip {n}" for n in range(5)]
    seconds = [round(seconds, 2) for seconds in media.manifest.rows["duration"]]
    assert seconds == sorted(seconds, reverse=True)
    assert quarantine.empty
    record = next(media.records(["clip 3"], ["audio"]))
    assert (record.clip_id, record.frames) == ("clip 3", [])
    assert len(record.waveform()) > 0


def test_only_new_clips_are_decoded(root: Path) -> None:
    paths = corpus(root, 4)
    assert run(root, paths[:3])[0][0] == 3
    assert run(root, paths)[0] == (1, 3, 0)
    assert run(root, paths, DecodeParams(frames=1, max_failed=1.0))[0][0] == 4
    assert run(root, paths)[0] == (0, 4, 0)


def test_limits_of_time_and_memory_do_not_decide_what_is_cached(root: Path) -> None:
    paths = corpus(root, 2)
    run(root, paths)
    looser = PARAMS.model_copy(update={"timeout_seconds": 99.0, "memory_mb": 5000, "max_failed": 0.5})
    assert run(root, paths, looser)[0][0] == 0


def test_files_with_the_same_bytes_are_decoded_once(root: Path) -> None:
    paths = corpus(root, 1)
    (root / "copy.mp4").write_bytes((root / paths[0]).read_bytes())
    report, media, _ = run(root, [*paths, "copy.mp4"])
    assert report[0] == 1
    assert decoded(media) == ["clip 0", "clip 1"]


def test_the_outs_do_not_depend_on_the_history_of_the_cache(root: Path) -> None:
    paths = corpus(root, 6)
    for few in (paths[4:], paths[1:3], paths):
        run(root, few)
    pieced = written(root)
    os.environ["MER_CACHE"] += "2"
    run(root, paths, compute=ComputeParams(workers=2))
    assert written(root) == pieced


def test_every_kind_of_bad_file_is_in_quarantine_with_its_reason(root: Path) -> None:
    outside = write_clip(root.parent / "outside.mp4", seconds=0.2)
    (root / "link.mp4").symlink_to(outside)
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    (root / "empty.mp4").touch()
    (root / "text.mp4").write_text("not a video")
    (root / "folder.mp4").mkdir()
    write_clip(root / "long.mkv", audio=None, times=[0.0, 40_000.0])
    write_clip(root / "微笑 'n\" smile.v2.mp4", seconds=0.2)
    reasons = {
        "link.mp4": "outside_root",
        "../outside.mp4": "outside_root",
        "loop.mp4": "missing_file",
        "gone.mp4": "missing_file",
        "empty.mp4": "empty_file",
        "text.mp4": "not_media",
        "folder.mp4": "not_a_file",
        "long.mkv": "too_long",
    }
    report, media, quarantine = run(root, [*reasons, "微笑 'n\" smile.v2.mp4"])
    assert report == (1, 0, len(reasons))
    assert dict(zip(quarantine["path"], quarantine["error"], strict=True)) == reasons
    assert set(quarantine["stage"]) == {"decode"}
    assert quarantine["message"].str.len().min() > 0
    assert decoded(media) == [f"clip {len(reasons)}"]


def test_a_lack_of_permission_is_the_machines_and_not_remembered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    paths = corpus(root, 1)
    monkeypatch.setattr(sources.FileDigests, "of", refuse)
    with pytest.raises(MerError, match=r"the machine lost 1 of 1 clips.*permission_refused"):
        run(root, paths)
    tolerant = PARAMS.model_copy(update={"max_lost": 1.0})
    assert list(run(root, paths, tolerant)[2]["error"]) == ["permission_refused"]
    monkeypatch.undo()
    monkeypatch.setenv("MER_CACHE", str(root.parent / "cache"))
    assert run(root, paths)[0] == (1, 0, 0)


def test_a_link_within_the_root_is_followed(root: Path) -> None:
    (path,) = corpus(root, 1)
    (root / "link.mp4").symlink_to(root / path)
    assert run(root, ["link.mp4"])[0][0] == 1


def test_too_many_failures_stop_the_stage_after_all_is_stored(root: Path) -> None:
    paths = corpus(root, 3)
    (root / "bad.mp4").write_text("not a video")
    strict = PARAMS.model_copy(update={"max_failed": 0.2})
    with pytest.raises(MerError, match=r"decode\.max_failed: 1 of 4"):
        run(root, [*paths, "bad.mp4"], strict)
    assert run(root, [*paths, "bad.mp4"])[0] == (0, 3, 1)


def test_a_failure_is_remembered_until_the_file_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = root / "bad.mp4"
    bad.write_text("not a video")
    run(root, ["bad.mp4"])
    with monkeypatch.context() as patch:
        patch.setattr(stage.DecodeWorker, "setup", lambda self: pytest.fail("tried again"))
        assert run(root, ["bad.mp4"])[0][2] == 1
    write_clip(bad, seconds=0.2)
    assert run(root, ["bad.mp4"])[0] == (1, 0, 0)


def test_a_corrupt_shard_costs_what_it_held(root: Path) -> None:
    paths = corpus(root, 4)
    run(root, paths[:3])
    run(root, paths)
    before = written(root)
    large = max((root.parent / "cache" / "decode").glob("*.parquet"), key=lambda path: path.stat().st_size)
    data = bytearray(large.read_bytes())
    data[len(data) // 2] ^= 0xFF
    large.write_bytes(data)
    assert run(root, paths)[0] == (0, 4, 0)
    assert written(root) == before
    assert len(list(large.parent.glob("*.corrupt"))) == 1


def mutant(whole: bytes, other: bytes, random: random.Random) -> bytes:
    """Truncated, with flipped bits, with a piece of another file, or several of these."""
    data = bytearray(whole)
    for _ in range(random.randint(1, 3)):
        kind = random.choice(["cut", "flip", "splice", "zero", "head"])
        if kind == "cut":
            del data[random.randrange(len(data) + 1) :]
        elif kind == "head":
            size = random.randrange(1, 2000)
            data[:size] = other[:size]
        elif data:
            at, size = random.randrange(len(data)), random.choice([1, 4, 64, 1024])
            if kind == "flip":
                for _ in range(size):
                    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
            elif kind == "splice":
                begin = random.randrange(len(other))
                data[at : at + size] = other[begin : begin + size]
            else:
                data[at : at + size] = bytes(len(data[at : at + size]))
    return bytes(data)


def test_mutated_files_are_all_accounted_for(root: Path) -> None:
    """`MER_MUTANTS=2000` for the long run."""
    seeds = [
        write_clip(root / "a.mp4", seconds=0.4, video_options={"preset": "medium"}).read_bytes(),
        write_clip(root / "b.mkv", seconds=0.4, audio="pcm_s16le").read_bytes(),
        write_clip(root / "c.avi", seconds=0.4, video="mpeg4", audio="mp3").read_bytes(),
        write_clip(root / "d.webm", seconds=0.2, video="libvpx", audio="libopus", rate=48_000).read_bytes(),
        write_clip(root / "e.flac", seconds=0.4, video=None, audio="flac").read_bytes(),
        write_clip(root / "f.ts", seconds=0.4, audio="mp2").read_bytes(),
    ]
    chance = random.Random(0)
    paths = []
    for number in range(MUTANTS):
        path = root / f"mutant-{number}.mp4"
        path.write_bytes(mutant(chance.choice(seeds), chance.choice(seeds), chance))
        paths.append(path.name)
    strict = PARAMS.model_copy(update={"timeout_seconds": 10.0, "memory_mb": 2048})
    report, media, quarantine = run(root, paths, strict, ComputeParams(workers=2))
    print(report, dict(quarantine["error"].value_counts()))
    ids = set(table(root, paths)["clip_id"])
    failed = set(quarantine["clip_id"][quarantine["kind"] == "failed"])
    assert not failed & set(decoded(media))
    assert failed | set(decoded(media)) == ids
    assert set(quarantine["clip_id"][quarantine["kind"] == "partial"]) <= set(decoded(media))
    assert decoded(media)
    assert len(quarantine)
    for record in media.records(decoded(media), ["audio", "frames", "timestamps"]):
        assert len(record.images()) == len(record.timestamps)
        assert record.frames or len(record.waveform())


SCRIPT = """
    import sys
    from pathlib import Path
    import mer.extraction.decode as stage
    from tests.extraction.test_decode import PARAMS, SandboxWork, run
    from mer.params import ComputeParams

    root, log = Path(sys.argv[1]), open(sys.argv[2], "a")
    whole = SandboxWork._one
    def logged(self, path):
        result = whole(self, path)
        print(path, file=log, flush=True)
        return result
    SandboxWork._one = logged
    run(root, sorted(path.name for path in root.iterdir()), compute=ComputeParams(workers=2))
"""
SandboxWork = stage.SandboxWork


def test_a_killed_stage_continues_where_it_stopped(root: Path, tmp_path: Path) -> None:
    """`MER_KILLS=20` for the long run. Half the blows hit the stage, half one of its workers."""
    paths = corpus(root, 24)
    run(root, sorted(paths))
    expected = written(root)
    chance = random.Random(KILLS)
    script, log = tmp_path / "stage.py", tmp_path / "log"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MER_CACHE": str(tmp_path / "other")}
    command = [sys.executable, str(script), str(root), str(log)]
    for number in range(KILLS):
        log.touch()
        wanted = chance.randrange(len(paths)) if number % 2 else len(log.read_text().split()) + chance.randrange(3)
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(log.read_text().split()) < wanted:
            time.sleep(0.01)
        time.sleep(chance.random() * 0.05)
        _strike(process, worker=bool(number % 2))
    subprocess.run(command, env=environment, check=True)
    assert written(root) == expected
    decoded = log.read_text().split()
    assert set(decoded) == {str(root / path) for path in paths}
    assert len(decoded) - len(paths) <= 2 * KILLS  # only what the two workers had in hand at a blow


def _strike(process: subprocess.Popen[bytes], *, worker: bool) -> None:
    """Kill the stage, or one of its decoding workers, and wait for what the stage makes of it."""
    if not worker:
        process.kill()
    else:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        tasks = list(Path(f"/proc/{process.pid}/task").glob("*/children")) if children.exists() else []
        for child in [int(pid) for task in tasks for pid in task.read_text().split()][:1]:
            os.kill(child, signal.SIGKILL)
    process.wait()


def test_clips_without_media_are_neither_decoded_nor_failed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a corpus of features alone: the table of clips names no files."""
    write_clip(root / "a.mp4")
    counts, media, quarantine = run(root, ["", "a.mp4", ""], DecodeParams(frames=2, max_failed=0.0))
    assert counts == (1, 0, 0)
    assert quarantine.empty
    assert [value is None for value in media.digests("audio_sha256").values()] == [True, False, True]
    assert "3 clips: 1 computed, 0 from the cache; 2 without content" in capsys.readouterr().out
