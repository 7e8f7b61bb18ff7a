"""The decode stage: audio and frames of every clip into the shard cache, and a manifest of what is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from mer.errors import ClipError, MerError
from mer.extraction.contents import write_contents
from mer.extraction.per_clip import Content, Done, Limits, Place, Step, run_per_clip
from mer.extraction.settings import deciding
from mer.extraction.sources import NO_MEDIA, readable_digest, real_root
from mer.media.part import Part
from mer.media.record import CONTENT
from mer.media.sandbox import Sandbox
from mer.params import ComputeParams, DecodeParams
from mer.store.keys import FileDigests, digest
from mer.store.manifest import Made, read_manifest

NAME = "decode"
REVISION = 3
"""Raise it when the same file and parameters give other bytes than before."""
GOLDEN = "e501b448dec68aa4"
"""What a fixed input gave under this version: see tests/golden.py."""
LIBRARIES = ("av", "opencv-python-headless", "soundfile")
OWN = ("audio_sha256", "frames_sha256", "duration")
"""Columns that the manifest repeats: the digests are what later steps take for the clip's content."""


PARTS = 1
"""Raise it when the same part of a file gives other bytes than before."""
MOST_TOGETHER = 128
"""Parts of a file that are cut out of it in one go: what is kept of them is in memory until the file is through."""


@dataclass(frozen=True)
class FilePart:
    """A clip that is a part of a file."""

    path: str
    part: Part


Source = str | FilePart


@dataclass(frozen=True)
class DecodeWorker:
    """Decodes files, and parts of files, in a sandbox: one process with limits for each thread that drives it."""

    params: DecodeParams
    isolated = True

    def setup(self) -> SandboxWork:
        return SandboxWork(Sandbox(self.params))


@dataclass(frozen=True)
class SandboxWork:
    """The work function over one sandbox; closing it ends the sandbox' process."""

    sandbox: Sandbox

    def __call__(self, sources: Sequence[Source]) -> list[dict[str, Any] | ClipError]:
        found: list[dict[str, Any] | ClipError] = []
        for (path, whole), together in groupby(sources, key=lambda one: (file_of(one), isinstance(one, str))):
            parts = [source.part for source in together if isinstance(source, FilePart)]
            found += [self._one(path)] if whole else self._parts(path, parts)
        return found

    def _parts(self, path: str, parts: Sequence[Part]) -> Sequence[dict[str, Any] | ClipError]:
        try:
            return self.sandbox.decode_parts(path, parts)
        except ClipError as error:
            return [error] * len(parts)

    def _one(self, path: str) -> dict[str, Any] | ClipError:
        try:
            return self.sandbox.decode(path)
        except ClipError as error:
            return error

    def close(self) -> None:
        self.sandbox.close()


def file_of(source: Source) -> str:
    """The file that a clip is, or is a part of."""
    return source.path if isinstance(source, FilePart) else source


def decode_corpus(
    clips: pd.DataFrame,
    root: Path,
    params: DecodeParams,
    compute: ComputeParams,
    data: Path = Path("data"),
    *,
    wanted: bool = True,
) -> Done:
    """Decode what the cache lacks; write `data/manifests/decode.parquet` and `data/quarantine/decode.parquet`, and
    what the views of sound are made from.

    Args:
        clips: columns `clip_id, path, sha256`, and those of `mer.clips.tables.PARTS`.
        wanted: whether any view is made of media; else none is decoded.

    Raises:
        MerError: see `mer.extraction.per_clip.run_per_clip`; or a file is no longer the one that ingest saw.
    """
    content = located(clips, root) if wanted else Content(dict.fromkeys(clips["clip_id"]), lambda clip_ids: ())
    place = Place(data, clips)

    def finish(done: Done) -> Done:
        digests = read_manifest(place.manifest(NAME)).column("audio_sha256")
        write_contents(data, "audio", {clip_id: of or None for clip_id, of in digests.items()})
        return done

    return run_per_clip(decode_step(params), content, compute, place, finish)


def decode_step(params: DecodeParams) -> Step[Source]:
    """Decoding under these params; its content is a file, or a part of one."""
    settings = deciding(params)
    libraries = {name: version(name) for name in LIBRARIES}
    fingerprint = digest(REVISION, libraries, settings)
    name = ", ".join(f"{library} {number}" for library, number in libraries.items())
    return Step(
        NAME,
        CONTENT,
        Made("decode", fingerprint, name, settings),
        DecodeWorker(params),
        Limits("decode", params.max_failed, params.max_lost),
        batch_size=MOST_TOGETHER,
        together=file_of,
        own=OWN,
        noted=("notes",),
        notes=_notes,
    )


def located(clips: pd.DataFrame, root: Path) -> Content[Source]:
    """The file, or part of a file, that each clip is, or the reason why it has none that could be decoded; neither
    where it has no media."""
    top = real_root(root)
    digests: dict[str, str | None] = {}
    faults: dict[str, ClipError] = {}
    files: dict[str, list[tuple[Path, str | None]]] = {}
    sources: dict[str, Source] = {}
    with FileDigests() as known:
        for clip in (dict(zip(clips.columns, row, strict=True)) for row in clips.itertuples(index=False)):
            clip_id = clip["clip_id"]
            if clip["path"] == NO_MEDIA:
                digests[clip_id] = None
                continue
            part = _part(clip, top)
            seen = [(clip["path"], clip["sha256"])]
            if part is not None and part.sound is not None:
                seen.append((clip["sound"], clip["sound_sha256"]))
            try:
                files[clip_id] = [(top / path, _seen(top / path, sha256, top, known)) for path, sha256 in seen]
            except ClipError as fault:
                faults[clip_id], digests[clip_id] = fault, None
                continue
            path = str(files[clip_id][0][0])
            sources[clip_id] = path if part is None else FilePart(path, part)
            whole = files[clip_id][0][1]
            digests[clip_id] = whole if part is None else _part_digest(part, [sha256 for _, sha256 in files[clip_id]])

    def load(clip_ids: Sequence[str]) -> Iterable[tuple[str, Source]]:
        by_file: dict[str, list[str]] = {}
        for clip_id in clip_ids:
            by_file.setdefault(file_of(sources[clip_id]), []).append(clip_id)
        ordered = [clip_id for together in by_file.values() for clip_id in together]
        for clip_id in _unchanged(ordered, files, top):
            yield clip_id, sources[clip_id]

    return Content(digests, load, faults)


def _part(clip: Mapping[str, Any], top: Path) -> Part | None:
    """What part of its file a clip is; None where it is all of it."""
    start, end = (None if pd.isna(value := clip.get(name)) else float(value) for name in ("start", "end"))
    crop, sound = (value if isinstance(value := clip.get(name), str) else None for name in ("crop", "sound"))
    if (start or None) is None and end is None and crop is None and sound is None:
        return None
    return Part(start, end, crop, None if sound is None else str(top / sound))


def _part_digest(part: Part, sha256: Sequence[str | None]) -> str:
    return digest("part", PARTS, part.start, part.end, part.crop, list(sha256))


def _seen(path: Path, sha256: object, top: Path, known: FileDigests) -> str:
    """Digest of a file as ingest saw it, or now where it saw none."""
    return sha256 if isinstance(sha256, str) else readable_digest(path, top, known)


def _unchanged(
    clip_ids: Sequence[str], files: Mapping[str, Sequence[tuple[Path, str | None]]], top: Path
) -> Iterator[str]:
    """Clips whose files are as they were; what a file gives must not be stored under the digest that it had before."""
    with FileDigests() as known:
        checked: dict[Path, str | None] = {}
        for clip_id in clip_ids:
            for path, sha256 in files[clip_id]:
                if checked.get(path) == sha256:
                    continue
                try:
                    checked = {path: readable_digest(path, top, known)}
                except ClipError as fault:
                    raise MerError(f"clip '{clip_id}': {path}: {fault}") from None
                if checked[path] != sha256:
                    raise MerError(f"clip '{clip_id}': {path} is not the file that ingest saw; run ingest again")
            yield clip_id


def _notes(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for note in row["notes"] or ():
        yield note["error"], note["message"]
