"""What a stage's script imports and which params it reads, found in the source: dvc.yaml is held against it.

python -m tests.imports            # what each stage needs that dvc.yaml lacks, and what it has beyond need
python -m tests.imports --write    # puts the code that the stages need into dvc.yaml
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML

from mer.params import Params

ROOT = Path(__file__).parents[1]
PIPELINES = [ROOT / "dvc.yaml", ROOT / "adapt/dvc.yaml"]
OURS = ("mer", "stages", "sample")
HARMLESS = {"compute"}
"""Sections of the params that change no result: where the work runs."""
IN_CONTENTS = {"extract": {"corpus", "decode", "faces"}}
"""By stage, sections read to make again what was pruned: what they decide is in the digests that it depends on."""
PACKAGE = "__init__.py"
MODULE = re.compile(r"mer(\.\w+)+")


@dataclass(frozen=True)
class Stage:
    """A stage of a pipeline: its script, and the code and params that it says it depends on."""

    name: str
    script: Path
    code: frozenset[str]
    params: frozenset[str]


def stages() -> Iterator[Stage]:
    for pipeline in PIPELINES:
        for name, entry in entries(pipeline).items():
            module = entry["cmd"].removeprefix("python -m ").removesuffix(" ${key}")
            code = {dep for dep in entry["deps"] if is_code(dep)}
            script = ROOT / (module.replace(".", "/") + ".py")
            told = {key.removesuffix(".${key}") for key in entry.get("params", [])}
            yield Stage(name, script, frozenset(code), frozenset(told))


def entries(pipeline: Path) -> dict[str, Any]:
    """A pipeline's stages; of one that is there once a view, what each of them does."""
    found = yaml.safe_load(pipeline.read_text())["stages"]
    return {name: entry.get("do", entry) for name, entry in found.items()}


def get_fields(section: str) -> set[str]:
    """Keys of a section of the params; that of the views has none of its own."""
    return set(getattr(type(getattr(Params(), section)), "model_fields", ()))


def is_code(dep: str) -> bool:
    """Whether a dependency is a module or a folder of modules."""
    return dep.split("/")[0] in OURS and (dep.endswith(".py") or any((ROOT / dep).glob("*.py")))


@cache
def imported(path: Path) -> frozenset[Path]:
    """Modules of ours that a module imports, at its head or within a function, and the packages they lie in.

    What a package's head imports within a function is for whoever calls that: `mer.load_bundle` runs in no stage.
    """
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.iter_child_nodes(tree) if path.name == PACKAGE else _running(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
            names = [node.value]  # run by `python -m` in a process of its own
        for name in names:
            found.update(_files(name))
    return frozenset(found - {path})


def closure(path: Path) -> set[Path]:
    """A module with all that it leads to."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting.extend(imported(one))
    return seen


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes, those that only a type checker sees left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from _running(node)


def _files(name: str) -> Iterator[Path]:
    parts = name.split(".")
    if parts[0] not in OURS:
        return
    for count in range(1, len(parts) + 1):
        place = ROOT.joinpath(*parts[:count])
        if (place / PACKAGE).is_file():
            yield place / PACKAGE
        elif place.with_suffix(".py").is_file():
            yield place.with_suffix(".py")


def uncovered(stage: Stage) -> list[str]:
    """Modules that the script leads to and no dependency holds, packages' empty heads left out."""
    held = [ROOT / dep for dep in stage.code]
    return sorted(
        str(path.relative_to(ROOT))
        for path in closure(stage.script)
        if not any(path == dep or dep in path.parents for dep in held) and not _bare(path)
    )


def _bare(path: Path) -> bool:
    """A package's head with nothing in it but its docstring."""
    body = ast.parse(path.read_text()).body
    return path.name == PACKAGE and all(isinstance(node, ast.Expr) for node in body)


def unused(stage: Stage, *, share: float = 0.5) -> list[str]:
    """Dependencies of which the script leads to less than a share of the modules."""
    reached = closure(stage.script)
    wide = []
    for dep in sorted(stage.code):
        place = ROOT / dep
        modules = [place] if place.is_file() else [path for path in place.rglob("*.py") if not _bare(path)]
        if sum(path in reached for path in modules) < share * len(modules):
            wide.append(dep)
    return wide


def params_read(path: Path) -> set[str]:
    """Sections, or keys of them where no more is read, of the `params` that a stage's main function is given."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    for function in [node for node in tree.body if isinstance(node, ast.FunctionDef)]:
        for name in _params_names(function):
            found |= _read_in(path, function.name, name, frozenset())
    return found


def _params_names(function: ast.FunctionDef) -> list[str]:
    arguments = [*function.args.args, *function.args.kwonlyargs]
    return [a.arg for a in arguments if a.annotation is not None and ast.unparse(a.annotation) == "Params"]


def _read_in(path: Path, function: str, name: str, seen: frozenset[tuple[Path, str]]) -> set[str]:
    """What a function reads of its argument `name`, itself or through the functions it hands all of it to."""
    if (path, function) in seen:
        return set()
    seen |= {(path, function)}
    tree = ast.parse(path.read_text())
    body = next(
        (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == function), None
    )
    if body is None:
        return set()
    found = set()
    parents = {child: node for node in ast.walk(body) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(body):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
            outer = parents.get(node)
            if node.attr not in Params.model_fields:
                continue  # a method of the params themselves
            fields = get_fields(node.attr)
            if isinstance(outer, ast.Attribute) and outer.attr in fields:
                found.add(f"{node.attr}.{outer.attr}")
            else:
                found.add(node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if any(isinstance(k.value, ast.Name) and k.value.id == name for k in node.keywords):
                found |= set(Params.model_fields)  # kept whole, for anyone to read
            for place, argument in enumerate(node.args):
                if isinstance(argument, ast.Name) and argument.id == name:
                    found |= _handed(path, tree, node.func.id, place, seen)
    return found


def _handed(path: Path, tree: ast.Module, function: str, place: int, seen: frozenset[tuple[Path, str]]) -> set[str]:
    where = path
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and function in [a.asname or a.name for a in node.names]:
            files = list(_files(f"{node.module}.{function}"))
            where = files[-1] if files else path
            if where.name == PACKAGE and _defining(where, function) is None:
                inner = _reexported(where, function)
                where = inner or where
    definition = _defining(where, function)
    if definition is None:
        return set()
    arguments = definition.args.args
    return _read_in(where, function, arguments[place].arg, seen) if place < len(arguments) else set()


def _defining(path: Path, function: str) -> ast.FunctionDef | None:
    tree = ast.parse(path.read_text())
    return next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function), None)


def _reexported(package: Path, function: str) -> Path | None:
    for node in ast.walk(ast.parse(package.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and function in [alias.name for alias in node.names]:
            return list(_files(node.module))[-1]
    return None


def untold(stage: Stage) -> set[str]:
    """Params that the script reads and the stage does not name."""
    return {
        key
        for key in params_read(stage.script)
        if key.split(".")[0] not in HARMLESS | IN_CONTENTS.get(stage.name, set())
        and not any(key == told or key.startswith(f"{told}.") for told in stage.params)
        and not _told_by_key(stage, key)
    }


def _told_by_key(stage: Stage, section: str) -> bool:
    """Whether a stage that is given a section names some of its keys, and its code touches none of the others."""
    named = {told.removeprefix(f"{section}.") for told in stage.params if told.startswith(f"{section}.")}
    others = get_fields(section) - named if named else set()
    touched = {
        node.attr
        for path in closure(stage.script)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    return bool(named) and not others & touched


def unread(stage: Stage) -> set[str]:
    """Params that the stage names and the script does not read."""
    read = params_read(stage.script)
    return {
        told
        for told in stage.params
        if not any(key == told or key.startswith(f"{told}.") or told.startswith(f"{key}.") for key in read)
    }


def needed(stage: Stage, *, share: float = 0.6) -> list[str]:
    """The script and a short list of folders and files that cover its code: a folder where most of it is reached."""
    reached = {path for path in closure(stage.script) if not _bare(path)}
    chosen: list[Path] = []
    folders = sorted({parent for path in reached for parent in path.parents if ROOT / "mer" in parent.parents})
    for folder in folders:
        modules = [path for path in folder.rglob("*.py") if not _bare(path)]
        if any(folder.is_relative_to(one) for one in chosen):
            continue
        if len(reached & set(modules)) > 1 and len(reached & set(modules)) >= share * len(modules):
            chosen.append(folder)
    alone = [path for path in reached if path != stage.script and not any(one in path.parents for one in chosen)]
    names = sorted(str(path.relative_to(ROOT)) for path in [*chosen, *alone])
    return [str(stage.script.relative_to(ROOT)), *names]


def write() -> None:
    """Put into the pipelines the code that their stages need, in place of what stands there."""
    style = YAML()
    style.width, style.preserve_quotes = 160, True
    style.indent(mapping=2, sequence=4, offset=2)
    known = {stage.name: stage for stage in stages()}
    for pipeline in PIPELINES:
        document = style.load(pipeline)
        for name, whole in document["stages"].items():
            entry = whole.get("do", whole)
            others = [dep for dep in entry["deps"] if not is_code(dep)]
            entry["deps"] = [*needed(known[name]), *others]
        style.dump(document, pipeline)


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write()
    for one in stages():
        print(f"{one.name}: lacks {uncovered(one)} and params {sorted(untold(one))}")
        print(f"    has beyond need {unused(one)} and params {sorted(unread(one))}")
