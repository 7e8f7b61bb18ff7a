"""Checkpoints of one's own training: plain types are read without their packages, everything else is refused."""

from __future__ import annotations

import argparse
import collections
import pathlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mer.encoders.checkpoints.pickles import load_pickle
from mer.errors import MerError


@pytest.fixture
def omegaconf(monkeypatch: pytest.MonkeyPatch) -> type:
    """A class that pickles as OmegaConf's DictConfig, gone again when the file is read."""
    module = types.ModuleType("omegaconf.dictconfig")
    config = type("DictConfig", (), {"__module__": "omegaconf.dictconfig"})
    module.DictConfig = config  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
    monkeypatch.setitem(sys.modules, "omegaconf.dictconfig", module)
    return config


def test_plain_types_come_as_pythons_own(tmp_path: Path, omegaconf: Any) -> None:
    config = omegaconf()
    config.__dict__.update(_content={"lr": np.float64(0.5), "name": "hubert"}, _metadata=None)
    counts: collections.defaultdict[str, list[int]] = collections.defaultdict(list, {"a": [1]})
    contents = {
        "model": {"w": torch.ones(2)},
        "cfg": {"model": config},
        "loss": np.float32(1.5),
        "steps": np.int64(7),
        "counts": counts,
        "where": pathlib.PurePosixPath("/a/b"),
        "args": argparse.Namespace(rate=np.float32(2.0)),
    }
    torch.save(contents, tmp_path / "a.pt")
    read = load_pickle(tmp_path / "a.pt")
    assert read["cfg"]["model"] == {"lr": 0.5, "name": "hubert"}
    assert (read["loss"], read["steps"], read["where"]) == (1.5, 7, "/a/b")
    assert type(read["loss"]) is float
    assert read["counts"] == {"a": [1]}
    assert type(read["counts"]) is dict
    assert read["args"].rate == 2.0
    assert torch.equal(read["model"]["w"], torch.ones(2))


def test_a_path_of_this_machine_is_read_as_text(tmp_path: Path) -> None:
    torch.save({"where": tmp_path}, tmp_path / "a.pt")
    assert load_pickle(tmp_path / "a.pt") == {"where": str(tmp_path)}


class Factory:
    def __reduce__(self) -> tuple[Any, ...]:
        return collections.defaultdict, (print,)


class Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return __import__("os").system, ("true",)


@pytest.mark.parametrize("payload", [Factory(), Command()])
def test_code_among_plain_types_is_refused(tmp_path: Path, payload: object) -> None:
    torch.save({"model": {}, "extra": payload}, tmp_path / "a.pt")
    with pytest.raises(MerError, match="refused, nothing was run"):
        load_pickle(tmp_path / "a.pt")
