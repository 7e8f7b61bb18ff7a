"""params.yaml as text: nothing in it may take long to read, be read in two ways, or run."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mer.errors import MerError
from mer.running.machine import explain

MOST_BYTES = 2**20
MOST_VALUES = 10_000
"""With every alias written out: a few lines of aliases of aliases stand for billions."""
DEEPEST = 20


def read_document(path: str | Path) -> Any:
    """The values of a YAML file; an empty one gives an empty mapping.

    Raises:
        MerError: it is missing, no file, too large, not UTF-8 or not YAML, or has a key twice.
    """
    try:
        if Path(path).exists() and not stat.S_ISREG(Path(path).stat().st_mode):
            raise MerError(f"{path}: not a regular file")
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise MerError(f"{path}: {error.strerror or explain(error)}") from None
    if len(data) > MOST_BYTES:
        raise MerError(f"{path}: larger than any params file should be ({MOST_BYTES} bytes)")
    try:
        text = data.decode("utf-8-sig")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            return {}
        _check(root, str(path))
        values = yaml.safe_load(text)
        return {} if values is None else values
    except UnicodeDecodeError as error:
        raise MerError(f"{path}: not UTF-8 (byte {error.start})") from None
    except (yaml.YAMLError, ValueError) as error:
        raise MerError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise MerError(f"{path}: not valid YAML: nested too deeply") from None


def _check(root: yaml.Node, path: str) -> None:
    """Refuse what would not end, or would lose a value without a word."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int) -> int:
        if depth > DEEPEST:
            raise MerError(f"{path}: line {node.start_mark.line + 1}: nested too deeply, or in itself")
        if id(node) not in sizes:
            sizes[id(node)] = 1 + sum(size(child, depth + 1) for child in _children(node, path))
        return sizes[id(node)]

    if size(root, 0) > MOST_VALUES:
        raise MerError(f"{path}: more than {MOST_VALUES} values, aliases written out")


def _children(node: yaml.Node, path: str) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise MerError(f"{path}: line {key.start_mark.line + 1}: key '{key.value}' is there twice")
                seen.add(key.value)
            yield key
            yield value
