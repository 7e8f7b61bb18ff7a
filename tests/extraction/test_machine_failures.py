"""What the machine does to a step: one line and a non-zero exit, finished clips kept, the same bytes in the end."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mer.clips import write_clips
from mer.errors import MerError
from mer.extraction import per_clip
from mer.extraction.decode import decode_corpus
from mer.extraction.media import Media
from mer.extraction.per_clip import Content, Done, Limits, Place, Step, run_per_clip
from mer.extraction.sources import file_digests
from mer.params import ComputeParams, Params
from mer.running import stage
from mer.store import journal
from mer.store.cache import Failure, ShardCache
from mer.store.fill import FillReport
from mer.store.location import cache_root
from mer.store.manifest import Made, read_manifest
from tests.extraction.machine import SCHEMA, Doomed, Unready, Upper
from tests.extraction.steps import STEPS, make_hubert, stage_of
from tests.media.making import write_clip

ROOT = Path(__file__).parents[2]
TEXTS = {f"clip {n}": "x" if n == 7 else f"text {n}".replace("x", "s") for n in range(12)}
HARMS = ["killed", "no memory", "no space"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(ROOT)  # new processes must find the workers of these tests


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(worker: Any, *, workers: int = 2, max_lost: float = 0.0, out: str = "data") -> Done:
        clips = pd.DataFrame({"clip_id": list(TEXTS), "path": list(TEXTS), "sha256": None})
        step: Step[str] = Step(
            "upper", SCHEMA, Made("shout", "f", "upper"), worker, Limits("text", max_lost=max_lost), batch_size=2
        )
        content = Content(dict(TEXTS), lambda clip_ids: ((clip_id, TEXTS[clip_id]) for clip_id in clip_ids))
        return run_per_clip(
            step, content, ComputeParams(workers=workers), Place(tmp_path / out, clips), lambda done: done
        )

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


@pytest.mark.parametrize("harm", HARMS)
def test_what_strikes_once_costs_nothing(run: Run, tmp_path: Path, harm: str) -> None:
    done = run(Upper(str(tmp_path), harm, once=True))
    assert (tmp_path / "struck").exists()
    assert (done.computed, done.failed) == (12, {})


@pytest.mark.parametrize("harm", HARMS)
def test_what_strikes_again_fails_the_stage_and_is_not_remembered(run: Run, tmp_path: Path, harm: str) -> None:
    with pytest.raises(MerError, match=r"text: the machine lost 1 of 12 clips \(.*clip 'clip 7'.*max_lost") as raised:
        run(Upper(str(tmp_path), harm))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "data/manifests").exists()
    table = pd.read_parquet(tmp_path / "data/quarantine/upper.parquet")
    assert table[["clip_id", "stage", "kind"]].values.tolist() == [["clip 7", "shout", "failed"]]
    (tmp_path / "worked").unlink()
    done = run(Upper(str(tmp_path)))
    assert (tmp_path / "worked").read_text().split("\n")[:-1] == ["x"]  # what was finished was kept, the rest is tried
    assert (done.computed, done.cached, done.failed) == (1, 11, {})
    recovered = files(tmp_path / "data")
    ShardCache(cache_root(), "upper", SCHEMA)
    run(Upper(str(tmp_path)), out="undisturbed")
    assert recovered == files(tmp_path / "undisturbed")


def test_params_may_allow_a_share_to_be_lost(run: Run, tmp_path: Path) -> None:
    done = run(Upper(str(tmp_path), "killed"), max_lost=0.1)
    manifest = read_manifest(tmp_path / "data/manifests/upper.parquet")
    assert [clip_id for clip_id, key in manifest.keys.items() if key is None] == ["clip 7"]
    assert list(done.rows())[7] is None
    assert run(Upper(str(tmp_path))).computed == 1


def test_workers_that_all_die_end_the_stage_soon(run: Run, tmp_path: Path) -> None:
    with pytest.raises(MerError, match="worker processes died in a row"):
        run(Doomed())
    assert run(Upper(str(tmp_path))).computed == 12


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_that_does_not_fit_is_told_at_once(
    run: Run, workers: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage, "load_params", Params)
    with pytest.raises(SystemExit) as exited:
        stage.run(lambda params: run(Unready(), workers=workers) and None)
    assert str(exited.value).startswith("error: not enough memory")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Journals take a few rows, then none."""
    left = [6]
    write = journal.os.write

    def refuse(handle: int, data: Any) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data)

    monkeypatch.setattr(journal.os, "write", refuse)
    yield
    monkeypatch.setattr(journal.os, "write", write)


def test_a_full_disk_is_one_line_and_keeps_what_was_finished(
    run: Run, tmp_path: Path, full_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "load_params", Params)
    with pytest.raises(SystemExit) as exited:
        stage.run(lambda params: run(Upper(str(tmp_path)), workers=1) and None)
    assert "No space left on device" in str(exited.value)
    assert "\n" not in str(exited.value)
    assert not (tmp_path / "data/manifests").exists()
    monkeypatch.undo()
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    done = run(Upper(str(tmp_path)), workers=1)
    assert done.cached >= 4
    assert done.computed + done.cached == 12


@pytest.fixture(scope="module")
def hubert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hubert(tmp_path_factory.mktemp("hubert"))


@pytest.mark.parametrize("step", STEPS)
def test_in_each_step_what_the_machine_loses_is_in_no_result(
    step: str, tmp_path: Path, hubert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stage = stage_of(step, tmp_path, hubert, monkeypatch)
    fill = per_clip.fill

    def losing(cache: ShardCache, items: Iterator[tuple[str, Any]], *rest: Any, **options: Any) -> FillReport:
        if cache.results.folder.name != step:
            return fill(cache, items, *rest, **options)
        return FillReport(0, 0, {}, {key: Failure("worker_died", "killed") for key, _ in items})

    with monkeypatch.context() as patch:
        patch.setattr(per_clip, "fill", losing)
        with pytest.raises(MerError, match=r"the machine lost 1 of 1 clips \(1 worker_died; clip 'one'"):
            run_stage()
    assert not (tmp_path / f"data/manifests/{step}.parquet").exists()
    run_stage()
    assert list(read_manifest(tmp_path / f"data/manifests/{step}.parquet").rows["ok"]) == [True]
    assert not (pd.read_parquet(tmp_path / f"data/quarantine/{step}.parquet")["kind"] == "failed").any()


def test_one_table_holds_the_quarantine_of_all_stages(tmp_path: Path, hubert: Path, monkeypatch: Any) -> None:
    for step in ("face", "audio"):
        stage_of(step, tmp_path, hubert, monkeypatch)()
    columns = ["clip_id", "stage", "kind", "error", "message", "path", "sha256"]
    assert pd.read_parquet(tmp_path / "data/quarantine").columns.tolist() == columns


def test_what_a_record_lacks_is_a_partial_row_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mer.extraction.decode import SandboxWork

    whole = SandboxWork._one

    def lacking(self: SandboxWork, path: str) -> Any:
        return {**whole(self, path), "notes": [{"error": "no_sound", "message": "its sound stream gave no samples"}]}

    monkeypatch.setattr(SandboxWork, "_one", lacking)
    write_clip(tmp_path / "one.mp4", seconds=0.2)
    clips = pd.DataFrame({"clip_id": ["one"], "path": ["one.mp4"], "sha256": None})
    for _ in range(2):  # from the decoder, then from the cache
        decode_corpus(clips, tmp_path, Params().decode, ComputeParams(workers=1), tmp_path / "data")
        table = pd.read_parquet(tmp_path / "data/quarantine/decode.parquet")
        assert table[["clip_id", "kind", "error"]].values.tolist() == [["one", "partial", "no_sound"]]
        assert "1 partial (1 no_sound)" in capsys.readouterr().out
    assert list(read_manifest(tmp_path / "data/manifests/decode.parquet").rows["ok"]) == [True]


def test_media_that_the_cache_lost_are_made_again_from_the_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: Sequence[str] = [write_clip(tmp_path / f"{n}.mp4", seconds=0.2 + 0.04 * n).name for n in range(3)]
    clips = pd.DataFrame({"clip_id": paths, "path": paths, "sha256": list(file_digests(tmp_path, paths))})
    params, one, data = Params().decode, ComputeParams(workers=1), tmp_path / "data"
    decode_corpus(clips, tmp_path, params, one, data)
    write_clips(data / "clips.parquet", clips)

    def media() -> Media:
        return Media(read_manifest(data / "manifests/decode.parquet"), Place(data, clips), tmp_path, params, one)

    before = [repr(record) for record in media().records(paths, ["audio", "frames", "timestamps"])]
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "empty"))
    assert [repr(record) for record in media().records(paths[1:], ["audio", "frames", "timestamps"])] == before[1:]
    assert "2 clips are not in the cache: decoded again" in capsys.readouterr().out
    (tmp_path / paths[0]).unlink()
    with pytest.raises(MerError, match=f"not in the cache, and cannot be decoded again: clip '{paths[0]}'"):
        list(media().records(paths, ["audio"]))
    (tmp_path / paths[0]).write_bytes(b"another file")
    with pytest.raises(MerError, match="not the file that ingest saw"):
        list(media().records(paths, ["audio"]))
    clips["sha256"] = None
    with pytest.raises(MerError, match=r"its file is not the one that was decoded|decoding it again failed"):
        list(media().records(paths, ["audio"]))
