"""The decode stage: audio and frames of every clip into the shard cache, and a manifest of what is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from mer.errors import ClipError, MerError
from mer.extraction.contents import write_contents
from mer.extraction.per_clip import Content, Done, Limits, Place, Step, run_per_clip
from mer.extraction.settings import deciding
from mer.extraction.sources import readable_digest, real_root
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


@dataclass(frozen=True)
class DecodeWorker:
    """Decodes paths in a sandbox: one process with limits for each thread that drives it."""

    params: DecodeParams
    isolated = True

    def setup(self) -> SandboxWork:
        return SandboxWork(Sandbox(self.params))


@dataclass(frozen=True)
class SandboxWork:
    """The work function over one sandbox; closing it ends the sandbox' process."""

    sandbox: Sandbox

    def __call__(self, paths: Sequence[str]) -> list[dict[str, Any] | ClipError]:
        return [self._one(path) for path in paths]

    def _one(self, path: str) -> dict[str, Any] | ClipError:
        try:
            return self.sandbox.decode(path)
        except ClipError as error:
            return error

    def close(self) -> None:
        self.sandbox.close()


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
        clips: columns `clip_id, path, sha256`.
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


def decode_step(params: DecodeParams) -> Step[str]:
    """Decoding under these params; its content is the path of a file."""
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
        own=OWN,
        noted=("notes",),
        notes=_notes,
    )


def located(clips: pd.DataFrame, root: Path) -> Content[str]:
    """The file of each clip, or the reason why it has none that could be decoded."""
    top = real_root(root)
    digests: dict[str, str | None] = {}
    faults: dict[str, ClipError] = {}
    paths = {}
    with FileDigests() as known:
        for clip_id, path, sha256 in zip(clips["clip_id"], clips["path"], clips["sha256"], strict=True):
            paths[clip_id] = top / path
            digests[clip_id] = sha256 if isinstance(sha256, str) else None
            if digests[clip_id] is None:
                try:
                    digests[clip_id] = readable_digest(top / path, top, known)
                except ClipError as fault:
                    faults[clip_id] = fault

    def load(clip_ids: Sequence[str]) -> Iterable[tuple[str, str]]:
        yield from _unchanged(clip_ids, paths, digests, top)

    return Content(digests, load, faults)


def _unchanged(
    clip_ids: Sequence[str], paths: Mapping[str, Path], digests: Mapping[str, str | None], top: Path
) -> Iterator[tuple[str, str]]:
    """Clips with their files; what a file gives must not be stored under the digest that it had before."""
    with FileDigests() as known:
        for clip_id in clip_ids:
            try:
                unchanged = readable_digest(paths[clip_id], top, known) == digests[clip_id]
            except ClipError as fault:
                raise MerError(f"clip '{clip_id}': {paths[clip_id]}: {fault}") from None
            if not unchanged:
                raise MerError(f"clip '{clip_id}': {paths[clip_id]} is not the file that ingest saw; run ingest again")
            yield clip_id, str(paths[clip_id])


def _notes(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for note in row["notes"] or ():
        yield note["error"], note["message"]
