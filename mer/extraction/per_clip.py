"""The one way through a per-clip step: decoding, face crops, speech recognition, every encoder.

A step fills the shard cache with what it lacks, writes a manifest that says what the cache holds for each clip, and a
part of the quarantine table for those that failed. The key of a cached row is the digest of content and extractor, so
one new clip costs one clip, and going back to an earlier parameter costs nothing.

A failure is the clip's (bad bytes: remembered, counted against `max_failed`) or the machine's (a killed worker, no
memory, no space, no permission: never remembered). What the machine lost is tried once more; what it loses again fails
the stage, with all finished clips kept, unless `max_lost` allows a share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import pandas as pd
import pyarrow as pa

from mer.compute.worker import Worker
from mer.errors import ClipError, MachineError, MerError
from mer.params import ComputeParams
from mer.store.cache import Failure, ShardCache
from mer.store.fill import FillReport, fill, fill_and_use
from mer.store.keys import digest
from mer.store.location import cache_root
from mer.store.manifest import Made, write_manifest
from mer.store.quarantine import write_quarantine
from mer.store.shards import EARLIER

Raw = TypeVar("Raw")
Out = TypeVar("Out")
Notes = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Content(Generic[Raw]):
    """What there is to work on.

    `digests` maps every clip, in corpus order, to the digest of its content, or to None where it has none. `load`
    yields pairs of clip and raw content for the clips asked for, in any order, without holding them all. `faults` says
    of some clips why they have no content that could be worked on.
    """

    digests: Mapping[str, str | None]
    load: Callable[[Sequence[str]], Iterable[tuple[str, Raw]]]
    faults: Mapping[str, ClipError] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """Shares of the clips that may fail, and that the machine may lose; `section` is where params set them."""

    section: str
    max_failed: float = 1.0
    max_lost: float = 0.0


@dataclass(frozen=True)
class Step(Generic[Raw]):
    """One per-clip step. `name` is that of its manifest and its part of the quarantine table; its shards lie on the
    `shelf` of the cache, or under its name.

    `own` are columns of `schema` that the manifest repeats; `notes` reads, from a row with the columns `noted`, what
    the result lacks: pairs of a stable name and a line for people.
    """

    name: str
    schema: pa.Schema
    made: Made
    worker: Worker[Raw, Mapping[str, Any]]
    limits: Limits
    batch_size: int = 1
    own: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()
    notes: Callable[[Mapping[str, Any]], Notes] = lambda row: ()
    shelf: str = ""


@dataclass(frozen=True)
class Place:
    """Where a stage's records go: the `data` folder, and the clip table that paths in the quarantine come from."""

    data: Path
    clips: pd.DataFrame

    def manifest(self, name: str) -> Path:
        return self.data / "manifests" / f"{name}.parquet"

    def quarantine(self, name: str) -> Path:
        return self.data / "quarantine" / f"{name}.parquet"


@dataclass(frozen=True)
class Done:
    """A step's rows in the shard cache: each clip's key (None where it has no result), and what filling them took.

    `failed` are the clips, not the keys, that failed; `partial` counts the notes.
    """

    step: Step[Any]
    cache: ShardCache
    keys: Mapping[str, str | None]
    computed: int
    cached: int
    failed: Mapping[str, Failure]
    partial: Counter[str]

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any] | None]:
        """The row of every clip, in order; None where the clip has no result."""
        found = [key for key in self.keys.values() if key is not None]
        rows = self.cache.read(found) if columns is None else self.cache.read_columns(found, columns)
        for key in self.keys.values():
            yield None if key is None else next(rows)

    def read(self, clip_ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Pairs of clip and row, of clips that have one."""
        yield from zip(clip_ids, self.cache.read([str(self.keys[clip_id]) for clip_id in clip_ids]), strict=True)

    def __str__(self) -> str:
        """The closing line: what was done, and what was lost and why."""
        parts = [f"{self.computed} computed, {self.cached} from the cache"]
        bare = sum(key is None for key in self.keys.values()) - len(self.failed)
        if bare:
            parts.append(f"{bare} without content")
        if self.failed:
            parts.append(f"{len(self.failed)} failed ({_counts(Counter(f.error for f in self.failed.values()))})")
        if self.partial:
            parts.append(f"{self.partial.total()} partial ({_counts(self.partial)})")
        return f"{self.step.name}: {len(self.keys)} clips: {'; '.join(parts)}"


def run_per_clip(
    step: Step[Raw], content: Content[Raw], compute: ComputeParams, place: Place, use: Callable[[Done], Out]
) -> Out:
    """Fill the cache, write manifest and quarantine, then `use` the rows; where some prove lost or corrupt, once more.

    Raises:
        MerError: the machine lost clips, or more failed than params allow. What was finished is in the cache by then,
            and the quarantine table says what was not.
    """
    return fill_and_use(lambda: _run(step, content, compute, place), use)


def fill_cache(
    step: Step[Raw], content: Content[Raw], compute: ComputeParams
) -> tuple[ShardCache, dict[str, str | None], FillReport]:
    """Compute the rows that the cache lacks; clips of the same content are computed once. Keys are by clip."""
    shelf = step.shelf or step.name
    cache = ShardCache(cache_root(), shelf, step.schema)
    keys = {
        clip_id: None if value is None else digest(shelf, step.made.fingerprint, value)
        for clip_id, value in content.digests.items()
    }
    first = {key: clip_id for clip_id, key in reversed(keys.items()) if key is not None}
    missing = cache.missing(list(first))
    report = FillReport(0, 0, {})
    for trial in range(2):
        wanted = cache.missing(missing) if trial else missing
        if not wanted:
            break
        items = ((str(keys[clip_id]), raw) for clip_id, raw in content.load([first[key] for key in wanted]))
        again = fill(
            cache,
            items,
            step.worker,
            compute,
            batch_size=step.batch_size,
            total=len(wanted),
            description=step.name if not trial else f"{step.name}, again",
        )
        report = FillReport(report.done + again.done, 0, dict(report.failed) | dict(again.failed), again.lost)
        if not again.lost:
            break
    failed = {**report.failed, **cache.failures(list(first))}
    untold = [key for key in cache.missing(missing) if key not in failed and key not in report.lost]
    lost = {**dict.fromkeys(untold, Failure(MachineError.error, "not tried after so many failures")), **report.lost}
    found = len(first) - len(missing) - len(failed.keys() - set(missing))
    return cache, keys, FillReport(report.done, found, failed, lost)


def _run(step: Step[Raw], content: Content[Raw], compute: ComputeParams, place: Place) -> Done:
    cache, keys, report = fill_cache(step, content, compute)
    earlier = sum(bool(EARLIER.fullmatch(path.name)) for path in cache.results.folder.glob("*"))
    if earlier:
        print(
            f"{step.name}: {earlier} shards of an earlier version of mer are passed over; `mer cache prune` clears them"
        )
    failed = {clip_id: Failure.of(fault) for clip_id, fault in content.faults.items()}
    failed |= {clip_id: report.failed[key] for clip_id, key in keys.items() if key and key in report.failed}
    lost = {clip_id: report.lost[key] for clip_id, key in keys.items() if key and key in report.lost}
    lost |= {c: failed.pop(c) for c, fault in content.faults.items() if isinstance(fault, MachineError)}
    good = {clip_id: None if clip_id in failed or clip_id in lost else key for clip_id, key in keys.items()}
    done = Done(step, cache, good, report.done, report.cached, failed | lost, Counter())
    columns, notes = _own_columns(done)
    done.partial.update(error for of in notes.values() for error, _ in of)
    write_quarantine(place.quarantine(step.name), _quarantine_rows(step, place, failed | lost, notes))
    _check_shares(step.limits, len(keys), failed, lost, place.quarantine(step.name))
    reasons = {clip_id: done.failed.get(clip_id) for clip_id in keys}
    rows: dict[str, Sequence[Any]] = {
        "clip_id": list(keys),
        "key": list(keys.values()),
        "ok": [key is not None for key in good.values()],
        "error": [reason and reason.error for reason in reasons.values()],
        "message": [reason and reason.message for reason in reasons.values()],
        **columns,
    }
    own = pa.schema([step.schema.field(name).with_nullable(True) for name in step.own])
    write_manifest(place.manifest(step.name), rows, step.made, own)
    print(done, flush=True)
    return done


def _own_columns(done: Done) -> tuple[dict[str, list[Any]], dict[str, list[tuple[str, str]]]]:
    """The manifest's own columns, and the notes of each clip that has any."""
    step = done.step
    columns: dict[str, list[Any]] = {name: [] for name in step.own}
    notes: dict[str, list[tuple[str, str]]] = {}
    wanted = [*step.own, *(name for name in step.noted if name not in step.own)]
    if not wanted:
        return columns, notes
    for clip_id, row in zip(done.keys, done.rows(wanted), strict=True):
        for name in step.own:
            columns[name].append(None if row is None else row[name])
        if row is not None and (found := list(step.notes(row))):
            notes[clip_id] = found
    return columns, notes


def _quarantine_rows(
    step: Step[Any], place: Place, failed: Mapping[str, Failure], notes: Mapping[str, Sequence[tuple[str, str]]]
) -> Iterator[dict[str, str | None]]:
    if not failed and not notes:
        return
    for clip in place.clips.itertuples(index=False):
        clip_id = str(clip.clip_id)
        where = {"clip_id": clip_id, "stage": step.made.stage, "path": str(clip.path), "sha256": _text(clip.sha256)}
        if clip_id in failed:
            fault = failed[clip_id]
            yield {**where, "kind": "failed", "error": fault.error, "message": fault.message}
        for error, message in notes.get(clip_id, ()):
            yield {**where, "kind": "partial", "error": error, "message": message}


def _check_shares(
    limits: Limits, clips: int, failed: Mapping[str, Failure], lost: Mapping[str, Failure], table: Path
) -> None:
    if len(lost) > limits.max_lost * clips:
        clip_id, fault = next(iter(lost.items()))
        raise MerError(
            f"{limits.section}: the machine lost {len(lost)} of {clips} clips ({_causes(lost)}; clip '{clip_id}': "
            f"{fault.message}); what was finished is kept: run again, or allow a share by {limits.section}.max_lost"
        )
    if len(failed) > limits.max_failed * clips:
        raise MerError(
            f"{limits.section}.max_failed: {len(failed)} of {clips} clips failed ({_causes(failed)}), more than the "
            f"share of {limits.max_failed:g}; reasons in {table}"
        )


def _causes(failures: Mapping[str, Failure]) -> str:
    return _counts(Counter(failure.error for failure in failures.values()))


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
