"""Named parts of a params tree, in presets/, applied to params.yaml: its comments and its order stay."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mer.errors import MerError
from mer.params import MODALITIES, Params, parse_params
from mer.params.views import KINDS, kind_of

FOLDER = Path("presets")
Keys = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A key of params.yaml, dotted, its value before and after."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: {flow(self.before)} -> {flow(self.after)}"


def presets(folder: Path = FOLDER) -> dict[str, str]:
    """Every preset's name with what its first comment line says of it."""
    return {path.stem: _about(path) for path in sorted(folder.glob("*.yaml"))}


def read_preset(name: str, folder: Path = FOLDER) -> dict[Keys, Any]:
    """The values of a preset by their keys, checked as params are.

    Raises:
        MerError: there is no such preset, or it is no part of a params tree; the line names file and key.
    """
    path = folder / f"{name}.yaml"
    if name not in presets(folder):
        raise MerError(f"there is no preset '{name}' in {folder}/; there are: {', '.join(presets(folder)) or 'none'}")
    values = _load(_text(path), path)
    if not isinstance(values, Mapping):
        raise MerError(f"{path}: a preset is a mapping of params")
    own = values.get("views")
    beside = {"views": {**{name: {} for name in MODALITIES}, **own}} if isinstance(own, Mapping) else {}
    parse_params({**values, **beside}, source=str(path))  # views that it says nothing of are there as well
    return dict(_leaves(values, Params))


def apply_presets(names: Sequence[str], path: Path = Path("params.yaml"), folder: Path = FOLDER) -> list[Change]:
    """Write the presets' values into a params file, later ones over earlier ones; only these values change in it.

    Raises:
        MerError: see `read_preset`; or the params file is damaged, or what comes out is not valid.
    """
    wanted: dict[Keys, Any] = {}
    for name in names:
        wanted |= read_preset(name, folder)
    text = _text(path)
    values = _load(text, path) or {}
    old = parse_params(values, source=str(path)).model_dump(mode="json")
    changes = [Change(".".join(keys), _get(old, keys), after) for keys, after in wanted.items()]
    changes = [change for change in changes if change.before != change.after]
    if "views" not in values and any(change.key.startswith("views.") for change in changes):
        for name in MODALITIES:  # a file that names none has these; one that names some has no others
            text = with_value(text, ("views", name, "modality"), name)
    for change in changes:
        text = with_value(text, tuple(change.key.split(".")), change.after)
    after = parse_params(_load(text, path) or {}, source=f"{path} with {', '.join(names)}").model_dump(mode="json")
    missed = [".".join(keys) for keys, value in wanted.items() if _get(after, keys) != _plain(value)]
    if missed:
        raise MerError(f"{path}: '{missed[0]}' stands there in a form that is not understood; set it by hand")
    if changes:
        _write(path, text)
    return changes


def missing_folders(changes: Mapping[Keys, Any]) -> list[str]:
    """Encoder files and folders that values name and that are not there."""
    paths = [value for value in changes.values() if isinstance(value, str) and value.startswith("encoders/")]
    return sorted({value for value in paths if not Path(value).exists()})


def flow(value: Any) -> str:
    """A value as it stands on one line of YAML."""
    text = yaml.safe_dump(_plain(value), default_flow_style=True, width=10**6, allow_unicode=True).strip()
    return text.removesuffix("...").strip()


def with_value(text: str, keys: Keys, value: Any) -> str:
    """YAML with the value at `keys` exchanged, or put in where it is missing; all else stays as it is."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return f"{text.rstrip()}\n{_nested(keys, value, 0)}".lstrip("\n")
    if not isinstance(root, MappingNode):
        raise MerError("params: not a mapping of sections")
    node, depth = root, 0
    for key in keys:
        found = next((child for name, child in node.value if name.value == key), None)
        if not isinstance(found, MappingNode) or depth == len(keys) - 1:
            break
        node, depth = found, depth + 1
    if found is None:
        return _put_in(text, node, keys[depth:], value, root)
    start, end = found.start_mark.index, _end(found)
    # Where a value is left empty (so DVC writes null), its place is right behind the colon.
    indent = " " if text[start - 1] in "\n:" or _is_block(found) else ""
    if _is_block(found):  # a list or mapping over several lines: back to behind its key
        start = len(text[:start].rstrip())
    return (
        text[:start] + indent + flow(value if depth == len(keys) - 1 else _tree(keys[depth + 1 :], value)) + text[end:]
    )


def _put_in(text: str, node: MappingNode, keys: Keys, value: Any, root: MappingNode) -> str:
    """A key that the file leaves out: behind the last one of its section."""
    if node.flow_style and node is not root:
        inside = ", " if node.value else ""
        end = node.end_mark.index - 1
        return text[:end] + inside + f"{keys[0]}: {flow(_tree(keys[1:], value) if keys[1:] else value)}" + text[end:]
    indent = node.value[0][0].start_mark.column
    at = text.find("\n", _end(node))
    at = len(text) if at < 0 else at
    return text[:at] + "\n" + _nested(keys, value, indent).rstrip("\n") + text[at:]


def _nested(keys: Keys, value: Any, indent: int) -> str:
    *sections, last = keys
    lines = [f"{' ' * (indent + 2 * depth)}{name}:" for depth, name in enumerate(sections)]
    lines.append(f"{' ' * (indent + 2 * len(sections))}{last}: {flow(value)}")
    return "\n".join(lines) + "\n"


def _tree(keys: Keys, value: Any) -> Any:
    return {keys[0]: _tree(keys[1:], value)} if keys else value


def _is_block(node: Node) -> bool:
    return isinstance(node, MappingNode | SequenceNode) and not node.flow_style


def _end(node: Node) -> int:
    """Where a value ends; a block's own mark lies behind the comments that follow it."""
    if isinstance(node, ScalarNode) or not _is_block(node) or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(node, MappingNode) else last)


def _leaves(values: Mapping[str, Any], section: type[BaseModel], keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Values by key; a mapping that is no section of ours, such as corpus.columns, is one value."""
    for name, value in values.items():
        kind = section.model_fields[name].annotation
        if section is Params and name == "views":
            for view, own in value.items():
                yield from _leaves(own, KINDS[str(kind_of({"modality": view, **own}))], (*keys, name, view))
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(value, Mapping):
            yield from _leaves(value, kind, (*keys, name))
        else:
            yield (*keys, name), value


def _get(tree: Mapping[str, Any], keys: Keys) -> Any:
    """The value at some keys; None where a view is not there."""
    value: Any = tree
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _about(path: Path) -> str:
    first = next(iter(_text(path).splitlines()), "")
    return re.sub(r"^#\s*", "", first) if first.startswith("#") else ""


def _load(text: str, path: Path) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise MerError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MerError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _write(path: Path, text: str) -> None:
    """In one step: a cut leaves the old file."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)
