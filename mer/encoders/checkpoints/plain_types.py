"""The types beside tensors that a checkpoint may hold: all of them plain data, none with code of the file's choosing.

numpy scalars, `collections.defaultdict`, `pathlib` paths, `argparse.Namespace`, OmegaConf's `DictConfig` and
`ListConfig`, and fairseq's `Dictionary`. What does not come with this package (OmegaConf, fairseq), or would touch the
file system, is read into an inert stand-in of the same name; `plain` turns all of it into dictionaries, lists, numbers
and strings. To allow another type is to add it here.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

DTYPES = (
    *(np.float16, np.float32, np.float64, np.bool_),
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
)
OMEGACONF = {
    "omegaconf.dictconfig": ("DictConfig",),
    "omegaconf.listconfig": ("ListConfig",),
    "omegaconf.base": ("ContainerMetadata", "Metadata"),
    "omegaconf.nodes": (
        *("AnyNode", "StringNode", "IntegerNode", "FloatNode", "BooleanNode", "EnumNode", "PathNode", "BytesNode"),
        "InterpolationResultNode",
    ),
}


MOST_VALUES = 5_000_000
"""Of a checkpoint, tensors counted as one each; those of a long training have some hundred thousand."""


class Inert:
    """Holds what a pickle says of an object, and does nothing."""

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {"state": state})


def plain_types() -> list[Any]:
    """What `torch.serialization.safe_globals` is to let through: types, or pairs of one and the name it goes by."""
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    numpy = [np.dtype, *(type(np.dtype(kind)) for kind in DTYPES)]
    named = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    builtins = [(kind, f"builtins.{kind.__name__}") for kind in (dict, list, set, tuple, int, float, str, bool)]
    paths = [
        *((PurePosixPath, f"pathlib.{name}") for name in ("PosixPath", "PurePosixPath", "Path", "PurePath")),
        *((PureWindowsPath, f"pathlib.{name}") for name in ("WindowsPath", "PureWindowsPath")),
    ]
    inert = [(_inert(module, name), f"{module}.{name}") for module, names in OMEGACONF.items() for name in names]
    return [
        *(*numpy, *named, *builtins, *paths, *inert, (_no_default, "collections.defaultdict"), argparse.Namespace),
        *(_inert("fairseq.data.dictionary", "Dictionary"), (_inert("typing", "Any"), "typing.Any")),
    ]


def _no_default(factory: Any = None, *items: Any) -> collections.OrderedDict[Any, Any]:
    """For a defaultdict: its factory is never called. torch fills plain dictionaries and this kind only."""
    return collections.OrderedDict(*items)


def _inert(module: str, name: str) -> type:
    return type(name, (Inert,), {"__module__": module})


def plain(value: Any) -> Any:
    """The same in Python's own types; tensors, namespaces and what else is inert stay as they are.

    Raises:
        ValueError: written out it is more than any checkpoint says: lists that hold each other stand for billions.
    """
    if _size(value, {}) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES} values, those that are there twice written out")
    return _plain(value)


def _size(value: Any, known: dict[int, float]) -> float:
    """How many values it is written out, without doing so; infinite where it holds itself."""
    if id(value) not in known:
        known[id(value)] = math.inf
        known[id(value)] = 1 + sum(_size(part, known) for part in _parts(value))
    return known[id(value)]


def _parts(value: Any) -> Iterable[Any]:
    """What a value holds, of the kinds that are written out."""
    if _of_omegaconf(value):
        return (_content(value),)
    if isinstance(value, argparse.Namespace):
        return vars(value).values()
    if isinstance(value, Mapping):
        return itertools.chain(value.keys(), value.values())
    return value if type(value) in (list, tuple) else ()


def _of_omegaconf(value: Any) -> bool:
    return isinstance(value, Inert) and type(value).__module__.startswith("omegaconf.")


def _content(value: Inert) -> Any:
    return vars(value).get("_content", vars(value).get("_val"))


def _plain(value: Any) -> Any:
    if _of_omegaconf(value):
        return _plain(_content(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, PurePosixPath | PureWindowsPath):
        return str(value)
    if isinstance(value, argparse.Namespace):
        return argparse.Namespace(**{name: _plain(one) for name, one in vars(value).items()})
    if isinstance(value, Mapping):
        return {_plain(name): _plain(one) for name, one in value.items()}
    return type(value)([_plain(one) for one in value]) if type(value) in (list, tuple) else value
