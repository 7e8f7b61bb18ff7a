"""Bundles of strangers, of other versions and of a bad disk: predicted with, or refused in one line."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mer.about import tell, warning
from mer.errors import MerError
from mer.provenance import read_provenance
from mer.self_training.bundle import Bundle
from mer.self_training.bundle_reading import load_bundle
from tests.bundles import text_bundle

VALUES: list[Any] = [None, -1, 10**30, float("nan"), "", {}, [[1]]]
LOST = object()
OWN = ("about", "extraction")
"""Below `extra`: many keys alike, of which some stand for all."""
SPOILT: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "nan": lambda x: x * float("nan"),
    "infinite": lambda x: x + float("inf"),
    "huge": lambda x: x.double() + 1e300,
    "no rows": lambda x: x[:0],
    "flat": lambda x: x.reshape(-1)[:1],
    "twice": lambda x: torch.cat([x, x], -1),
    "stacked": lambda x: x[None],
    "whole": lambda x: x.long(),
    "complex": lambda x: x.to(torch.complex64),
    "float8": lambda x: x.to(torch.float8_e4m3fn),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_bundle(tmp_path_factory.mktemp("bundle"))


def places(values: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in nested values something stands; below `OWN`, and in lists, the first two stand for the others."""
    yield above
    if len(above) < 4 and isinstance(values, dict | list):
        keys = list(values) if isinstance(values, dict) else list(range(len(values)))
        few = isinstance(values, list) or (len(above) >= 2 and above[1] in OWN)
        for key in keys[:2] if few else keys:
            yield from places(values[key], (*above, key))


def spoilt(about: dict[str, Any], at: tuple[Any, ...], value: Any) -> Any:
    about = copy.deepcopy(about)
    if not at:
        return value
    inside: Any = about
    for key in at[:-1]:
        inside = inside[key]
    if value is LOST:
        del inside[at[-1]]
    else:
        inside[at[-1]] = value
    return about


def used(folder: Path) -> str:
    """The line that refuses it, or nothing; whatever is accepted predicts numbers."""
    try:
        bundle: Bundle = load_bundle(folder)
        warning(bundle.extra)
        read_provenance(bundle.extra, folder, {})
        [standardiser] = bundle.standardisation.standardisers.values()
        found = bundle.predict({"text": np.ones((2, len(standardiser.mean)), np.float32)}, {"text": np.ones(2, bool)})
        assert np.isfinite(found).all()
        tell(folder)
    except MerError as error:
        line = str(error)
        assert "\n" not in line
        assert str(folder) in line
        assert len(line) < 2000
        return line
    return ""


def test_values_of_any_type_in_bundle_json(bundle: Path, tmp_path: Path) -> None:
    """Some 500 bundles."""
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    about = json.loads((bundle / "bundle.json").read_text())
    refused = tried = 0
    for at in places(about):
        for value in [*VALUES, *([LOST] if at else [])]:
            (folder / "bundle.json").write_text(json.dumps(spoilt(about, at, value)))
            refused += bool(used(folder))
            tried += 1
    assert tried > 200
    assert refused > tried / 3


def test_tensors_of_any_shape_and_kind(bundle: Path, tmp_path: Path) -> None:
    """Some 400 bundles; of those that are not numbers none is accepted."""
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    tensors = load_file(bundle / "members.safetensors")
    for name, tensor in tensors.items():
        for label, spoil in SPOILT.items():
            changed = {**tensors, name: spoil(tensor).contiguous().clone()}
            save_file(changed, folder / "members.safetensors", {"about": "{}"})
            line = used(folder)
            assert line or label not in ("nan", "infinite", "huge", "complex"), (name, label)
        save_file({key: value for key, value in tensors.items() if key != name}, folder / "members.safetensors")
        assert used(folder), name


@pytest.mark.parametrize("name", ["bundle.json", "members.safetensors"])
@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b"\xff\xfe", b"[" * 10**5, b"null", b"\x00" * 64, b"\xff" * 64, b'{"classes": ["a"]}'],
    ids=lambda content: repr(content)[:12],
)
def test_files_that_are_missing_or_no_bundles(bundle: Path, tmp_path: Path, name: str, content: bytes | None) -> None:
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    assert name in used(folder)


def test_a_bundle_cut_short_anywhere(bundle: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    for name in ("bundle.json", "members.safetensors"):
        whole = (bundle / name).read_bytes()
        for share in range(1, 20):
            (folder / name).write_bytes(whole[: len(whole) * share // 20])
            assert used(folder), (name, share)
        (folder / name).write_bytes(whole)
    assert not used(folder)


def test_the_bundle_of_an_earlier_version_is_told_as_such(bundle: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    about = json.loads((bundle / "bundle.json").read_text())
    del about["linear"]
    (folder / "bundle.json").write_text(json.dumps(about))
    assert used(folder).endswith("not of this version of mer: 'linear' is missing")
