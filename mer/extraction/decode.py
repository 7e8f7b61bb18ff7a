"""The decode stage: videos to `data/media` and the quarantine table."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from mer.clips import ClipTable
from mer.errors import ClipError, MerError
from mer.media.errors import EmptyFileError, MissingFileError, NotAFileError, OutsideRootError, PermissionRefusedError
from mer.media.record import CONTENT, SCHEMA
from mer.media.sandbox import Sandbox
from mer.params import ComputeParams, DecodeParams
from mer.store.cache import Failure, ShardCache
from mer.store.fill import FillReport, fill, fill_and_use
from mer.store.keys import FileDigests, digest
from mer.store.location import cache_root
from mer.store.media import write_media
from mer.store.quarantine import write_quarantine

REVISION = 2
"""Raise it when the same file and parameters give other bytes than before."""
LIBRARIES = ("av", "opencv-python-headless", "soundfile")
LIMITS = ("timeout_seconds", "memory_mb", "max_failed")
"""Parameters that decide whether a clip is decoded, not what it gives."""


@dataclass(frozen=True)
class DecodeReport:
    """Clips decoded in this run, found in the cache, and put in quarantine."""

    decoded: int
    cached: int
    failed: int


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


@dataclass(frozen=True)
class Source:
    """A clip's file: its key in the cache, or the reason why it has none."""

    clip_id: str
    path: str
    file: Path
    sha256: str | None
    key: str | None
    fault: Failure | None


def decode_corpus(
    clips: ClipTable,
    root: Path,
    params: DecodeParams,
    compute: ComputeParams,
    media_out: Path,
    quarantine_out: Path,
) -> DecodeReport:
    """Decode what the cache lacks, then write `media_out` and `quarantine_out` in the clip table's order.

    Raises:
        MerError: more than `decode.max_failed` of the clips failed; what could be decoded is in the cache by then.
    """
    cache = ShardCache(cache_root(), "decode", CONTENT)
    sources = list(locate(clips, root, params))
    keyed = [(source.key, str(source.file)) for source in sources if source.key is not None]

    def compute_missing() -> FillReport:
        return fill(cache, keyed, DecodeWorker(params), compute, total=len(keyed), description="decode")

    def materialise(report: FillReport) -> DecodeReport:
        faults = {source.clip_id: fault for source in sources if (fault := _fault(source, report.failed))}
        write_quarantine(quarantine_out, _quarantine_rows(sources, faults))
        good = [source for source in sources if source.clip_id not in faults]
        write_media(media_out, _media_tables(cache, good))
        return DecodeReport(report.done, report.cached, len(faults))

    report = fill_and_use(compute_missing, materialise)
    if report.failed > params.max_failed * len(sources):
        raise MerError(
            f"decode.max_failed: {report.failed} of {len(sources)} clips could not be decoded, more than the share of "
            f"{params.max_failed:g}; reasons in {quarantine_out}"
        )
    return report


def locate(clips: ClipTable, root: Path, params: DecodeParams) -> Iterator[Source]:
    """The file of each clip, with the key of what decoding it gives."""
    settings = params.model_dump(exclude=set(LIMITS))
    libraries = {name: version(name) for name in LIBRARIES}
    top = Path(os.path.realpath(root))
    with FileDigests() as digests:
        for clip_id, path in zip(clips.rows["clip_id"], clips.rows["path"], strict=True):
            file = top / path
            try:
                sha256 = _readable_digest(file, top, digests)
            except ClipError as error:
                yield Source(clip_id, path, file, None, None, Failure.of(error))
            else:
                key = digest("decode", REVISION, libraries, settings, sha256)
                yield Source(clip_id, path, file, sha256, key, None)


def _readable_digest(file: Path, top: Path, digests: FileDigests) -> str:
    try:
        if not Path(os.path.realpath(file)).is_relative_to(top):
            raise OutsideRootError("the file is outside corpus.root, by its path or by a symbolic link")
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise NotAFileError("not a regular file")
        if status.st_size == 0:
            raise EmptyFileError("the file has no bytes")
        return digests.of(file)
    except PermissionError:
        raise PermissionRefusedError("no permission to read the file") from None
    except (OSError, ValueError) as error:
        raise MissingFileError(getattr(error, "strerror", None) or str(error)) from None


def _fault(source: Source, failed: Mapping[str, Failure]) -> Failure | None:
    return source.fault or failed.get(source.key or "")


def _quarantine_rows(sources: Sequence[Source], faults: Mapping[str, Failure]) -> Iterator[dict[str, str | None]]:
    for source in sources:
        fault = faults.get(source.clip_id)
        if fault is not None:
            yield {
                "clip_id": source.clip_id,
                "stage": "decode",
                "error": fault.error,
                "message": fault.message,
                "path": source.path,
                "sha256": source.sha256,
            }


def _media_tables(cache: ShardCache, sources: Sequence[Source]) -> Iterator[pa.Table]:
    """Rows of `mer.media.record.SCHEMA`: what the cache holds under the key, with the clip's id in its place."""
    done = 0
    for table in cache.results.tables([source.key for source in sources if source.key]):
        clip_ids = [source.clip_id for source in sources[done : done + table.num_rows]]
        done += table.num_rows
        yield (
            table.drop_columns(["key"])
            .add_column(0, SCHEMA.field("clip_id"), pa.array(clip_ids, pa.string()))
            .cast(SCHEMA)
        )
