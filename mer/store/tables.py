"""Features on disk: utterance vectors in Parquet, frame tensors in safetensors."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mer.compute.local import cores
from mer.errors import MerError

GROUP_BYTES = 4 * 2**20
"""Embeddings in a row group."""
MOST_READERS = 4
MAX_HEADER = 2**16
"""Bytes: our header holds two arrays; a longer one is not ours, and must not fill memory."""


@dataclass(frozen=True)
class UtteranceTable:
    """One vector a clip, rows in the clip table's order.

    `embeddings` is float32 [N, D], zero where `ok` is false; `frames` int32 [N] says how many frames, crops or tokens
    went into each; `ok` is bool [N]. Where an encoder's `blocks` are to be weighted, their vectors lie side by side.
    """

    clip_ids: list[str]
    embeddings: NDArray[np.float32]
    frames: NDArray[np.int32]
    ok: NDArray[np.bool_]
    blocks: int = 1


BLOCKS = b"blocks"
"""Key of the file's metadata: how many blocks' vectors an embedding holds, where it holds several."""


def schema(dimensions: int, blocks: int = 1) -> pa.Schema:
    return pa.schema(
        [
            pa.field("clip_id", pa.string(), nullable=False),
            pa.field("embedding", pa.list_(pa.field("item", pa.float32(), nullable=False), dimensions), nullable=False),
            pa.field("frames", pa.int32(), nullable=False),
            pa.field("ok", pa.bool_(), nullable=False),
        ],
        {BLOCKS: str(blocks).encode()} if blocks > 1 else None,
    )


def write_utterances(
    path: str | Path, rows: Iterable[tuple[str, NDArray[np.float32], int, bool]], dimensions: int, blocks: int = 1
) -> None:
    """Write rows of clip id, embedding [D], frames and ok, holding a few megabytes of them at a time.

    Raises:
        MerError: an embedding holds what is no finite number, or is of another width; the line names the clip.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    kind = schema(dimensions, blocks)
    group_rows = max(1, GROUP_BYTES // (4 * dimensions))
    with pq.ParquetWriter(
        path, kind, compression="none", use_dictionary=False, write_statistics=False, write_page_checksum=True
    ) as writer:
        for group in _grouped(rows, group_rows):
            clip_ids, embeddings, frames, ok = zip(*group, strict=True)
            values = pa.array(_checked(path, clip_ids, embeddings, dimensions).reshape(len(group) * dimensions))
            columns = [
                pa.array(clip_ids, pa.string()),
                pa.FixedSizeListArray.from_arrays(values, type=kind.field("embedding").type),
                pa.array(frames, pa.int32()),
                pa.array(ok, pa.bool_()),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=kind), row_group_size=group_rows)


def _checked(
    path: str | Path, clip_ids: Sequence[str], embeddings: Sequence[NDArray[np.float32]], dimensions: int
) -> NDArray[np.float32]:
    for clip_id, embedding in zip(clip_ids, embeddings, strict=True):
        if len(embedding) != dimensions:
            raise MerError(f"{path}: clip '{clip_id}' has {len(embedding)} features instead of {dimensions}")
    values = np.asarray(embeddings, np.float32)
    wrong = ~np.isfinite(values).all(axis=1)
    if wrong.any():
        raise MerError(f"{path}: clip '{clip_ids[int(wrong.argmax())]}' has features that are not finite numbers")
    return values


def _grouped(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    group: list[Any] = []
    for row in rows:
        group.append(row)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def read_utterances(path: str | Path) -> UtteranceTable:
    """Read what `write_utterances` wrote.

    Raises:
        MerError: the file is missing or is no utterance table.
    """
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            table = file.read(columns=["clip_id", "frames", "ok"], use_threads=False)
            dimensions = file.schema_arrow.field("embedding").type.list_size
            blocks = int((file.schema_arrow.metadata or {}).get(BLOCKS, b"1"))
            sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        return UtteranceTable(
            clip_ids=table["clip_id"].to_pylist(),
            embeddings=_read_embeddings(path, sizes, dimensions),
            frames=table["frames"].to_numpy(),
            ok=table["ok"].to_numpy(),
            blocks=blocks if blocks > 0 and dimensions % blocks == 0 else 1,
        )
    except (OSError, KeyError, ValueError, AttributeError, pa.ArrowException) as error:
        raise MerError(f"{path}: not an utterance table: {error}") from None


def _read_embeddings(path: str | Path, sizes: Sequence[int], dimensions: int) -> NDArray[np.float32]:
    """Float32 [sum(sizes), D]; Parquet's list levels cost more than the bytes, so cores share the row groups."""
    embeddings = np.empty((sum(sizes), dimensions), np.float32)
    starts = [0, *accumulate(sizes)]

    def read(numbers: Sequence[int]) -> None:
        with pq.ParquetFile(path, memory_map=True) as file:
            for number in numbers:
                first = starts[number]
                for chunk in file.read_row_group(number, columns=["embedding"], use_threads=False)["embedding"].chunks:
                    embeddings[first : first + len(chunk)] = chunk.flatten().to_numpy().reshape(-1, dimensions)
                    first += len(chunk)

    readers = min(MOST_READERS, cores())
    with ThreadPoolExecutor(readers) as pool:
        list(pool.map(read, np.array_split(range(len(sizes)), readers)))
    return embeddings


def write_frames(
    path: str | Path, values: Iterable[NDArray[np.float16]], lengths: Sequence[int], dimensions: int
) -> None:
    """Write float16 [T, D] arrays, one a clip, as `values` [sum(T), D] and `offsets` [N + 1], one array in memory.

    `lengths` are the T, known beforehand from the utterance table's `frames` or a first pass over the cache.

    Raises:
        ValueError: an array has another shape than announced.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    offsets = np.asarray([0, *accumulate(lengths)], "<i8")
    size = int(offsets[-1]) * dimensions * 2
    header = json.dumps(
        {
            "offsets": {"dtype": "I64", "shape": [len(offsets)], "data_offsets": [0, offsets.nbytes]},
            "values": {
                "dtype": "F16",
                "shape": [int(offsets[-1]), dimensions],
                "data_offsets": [offsets.nbytes, offsets.nbytes + size],
            },
        }
    ).encode()
    header += b" " * (-len(header) % 8)  # safetensors aligns the data to eight bytes
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.write(offsets.tobytes())
        for number, (array, length) in enumerate(zip(values, lengths, strict=True)):
            if array.shape != (length, dimensions):
                raise ValueError(f"clip {number}: shape {array.shape}, announced as {(length, dimensions)}")
            file.write(np.ascontiguousarray(array, "<f2").tobytes())


@dataclass(frozen=True)
class FrameTensors:
    """Frame features of all clips, memory-mapped: `values` float16 [sum(T), D], `offsets` int64 [N + 1]."""

    values: NDArray[np.float16]
    offsets: NDArray[np.int64]

    @property
    def width(self) -> int:
        """D."""
        return self.values.shape[1]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.float16]:
        """Float16 [T, D] of one clip, by its row in the utterance table."""
        return self.values[self.offsets[row] : self.offsets[row + 1]]


def open_frames(path: str | Path) -> FrameTensors:
    """Map what `write_frames` wrote, without reading it.

    Raises:
        MerError: the file is missing or holds something else.
    """
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, MAX_HEADER)))
        arrays = {name: _mapped(path, 8 + length, header[name]) for name in ("values", "offsets")}
    except (OSError, KeyError, ValueError, struct.error) as error:
        raise MerError(f"{path}: not a file of frame features: {error}") from None
    return FrameTensors(arrays["values"], arrays["offsets"])


def _mapped(path: str | Path, base: int, entry: dict[str, Any]) -> NDArray[Any]:
    kind = {"F16": "<f2", "I64": "<i8"}[entry["dtype"]]
    shape = tuple(entry["shape"])
    if 0 in shape:
        return np.zeros(shape, kind)
    return np.memmap(path, kind, "r", offset=base + entry["data_offsets"][0], shape=shape)
