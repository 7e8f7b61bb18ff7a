"""Films in stretches: the sound and frames that decoding the whole gives, in flat memory, whatever the file does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mer.media import encode, errors, sandbox
from mer.media.film_reader import read_frames, read_length, read_sound
from mer.media.sandbox import decode_safely
from mer.params import DecodeParams
from tests.media.making import shown_number, write_clip

PARAMS = DecodeParams()
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "reordered": {"video_options": {"bf": "3", "g": "12"}},
    "one group": {"video_options": {"g": "1000"}},
    "late sound": {"audio_start": 0.5},
    "avi": {"video": "mpeg4", "audio": "mp2", "name": "a.avi"},
    "silent": {"audio": None},
    "sound alone": {"video": None, "name": "a.m4a"},
}


def film(folder: Path, kind: str, seconds: float = 8) -> Path:
    options = dict(KINDS[kind])
    return write_clip(folder / options.pop("name", "a.mp4"), seconds=seconds, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_the_sound_is_that_of_the_whole(kind: str, tmp_path: Path) -> None:
    path = film(tmp_path, kind)
    whole = decode_safely(path, PARAMS).waveform()
    np.testing.assert_array_equal(np.concatenate([np.zeros(0, np.float32), *read_sound(path, PARAMS)]), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_those_shown_at_the_wanted_times(kind: str, tmp_path: Path) -> None:
    path = film(tmp_path, kind)
    times = [0.1, 1.01, 1.02, 3.3, 5.01, 7.5, 7.99]
    found = [(place, shown_number(encode.image(image))) for place, image in read_frames(path, PARAMS, times)]
    wanted = [] if kind == "sound alone" else [(place, int(time * 25 + 1e-6)) for place, time in enumerate(times)]
    assert found == wanted


@pytest.mark.parametrize(("kind", "seconds"), [("silent", 8.0), ("reordered", 8.0), ("sound alone", 0.0)])
def test_the_length_of_a_picture(kind: str, seconds: float, tmp_path: Path) -> None:
    assert read_length(film(tmp_path, kind), PARAMS) == pytest.approx(seconds, abs=0.05)


def test_groups_longer_than_are_kept_are_decoded_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two frames of a group at once give the frames that a whole group gives."""
    from mer.media import film as film_module

    path = film(tmp_path, "one group")
    monkeypatch.setattr(film_module, "LONG_GROUP", 2)
    found = [one for one in film_module.film_frames(str(path), PARAMS, [0.5, 4.0, 7.0]) if one is not None]
    assert [(place, shown_number(shot.image)) for place, shot in found] == [(0, 12), (1, 100), (2, 175)]


def test_a_worker_that_only_says_that_it_is_at_work_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path, "plain")
    wanted = np.concatenate(list(read_sound(path, PARAMS)))
    code = "import mer.media.film as film, mer.media.worker as worker; film.BREATH = 3; worker.main()"
    monkeypatch.setattr(sandbox, "WORKER", (sys.executable, "-c", code))
    np.testing.assert_array_equal(np.concatenate(list(read_sound(path, PARAMS))), wanted)
    assert [place for place, _ in read_frames(path, PARAMS, [0.5, 7.0])] == [0, 1]
    assert read_length(path, PARAMS) == pytest.approx(8, abs=0.05)


def test_a_film_that_breaks_off_gives_what_came_before(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", seconds=8)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    samples = sum(map(len, read_sound(path, PARAMS)))
    assert 2 * 16000 < samples < 6 * 16000


@pytest.mark.parametrize("content", [None, b"", b"no film"])
def test_what_is_no_film_is_told(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.mp4").write_bytes(content)
    for read in (lambda p: read_sound(p, PARAMS), lambda p: read_frames(p, PARAMS, [0.5])):
        with pytest.raises(errors.MediaError):
            list(read(tmp_path / "a.mp4"))


LIES = {
    "sound": "worker.film_sound = lambda *a: iter([__import__('numpy').zeros(10, 'f4')]); "
    "worker.encode.flac = lambda x: b'no flac'",
    "place": "worker.film_frames = lambda p, q, t: iter([(7, shot), (3, shot)])",
    "size": "shot.image = np.zeros((9000, 10, 3), 'u1'); worker.film_frames = lambda p, q, t: iter([(0, shot)])",
    "length": "worker.film_length = lambda p: iter([float('nan')])",
    "death": "worker.film_sound = lambda *a: os._exit(3)",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_worker_that_lies_or_dies_costs_the_film_alone(
    lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path, "plain", 1)
    code = (
        "import os, numpy as np; from types import SimpleNamespace as S; import mer.media.worker as worker; "
        f"shot = S(image=np.zeros((10, 10, 3), 'u1')); {LIES[lie]}; worker.main()"
    )
    monkeypatch.setattr(sandbox, "WORKER", (sys.executable, "-c", code))
    read = {
        "place": lambda: list(read_frames(path, PARAMS, [0.1] * 8)),
        "size": lambda: list(read_frames(path, PARAMS, [0.1] * 8)),
        "length": lambda: read_length(path, PARAMS),
    }.get(lie, lambda: list(read_sound(path, PARAMS)))
    with pytest.raises(errors.MediaError):
        read()


def test_the_worker_imports_nothing_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path, "plain", 1)
    (tmp_path / "av.py").write_text("raise SystemExit('imported from the working directory')")
    (tmp_path / "mer").mkdir()
    (tmp_path / "mer/__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert decode_safely(path, PARAMS).duration > 0.9
