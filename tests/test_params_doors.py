"""Whatever stands in params.yaml, the answer is one line that names the key, at once; never a traceback or a hang.

`MER_FUZZ=1000` damages as many files; a plain run a few.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from mer.errors import MerError
from mer.params import Params, load_params, parse_params
from mer.params.limits import LIMITS, LONGEST, MOST_PARTS

DAMAGED = int(os.environ.get("MER_FUZZ", "50"))

LAYERS = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12))
MERGES = "\n".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 12))


def refused(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    begin = time.process_time()
    with pytest.raises(MerError) as caught:
        load_params(path)
    assert time.process_time() - begin < 5
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 3000
    assert line.startswith(f"{path}: ")
    return line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"l0: &l0 [a, a]\n{LAYERS}\ncorpus: *l11", "aliases written out"),
        (f"m0: &m0 {{a: b}}\n{MERGES}\ncorpus: *m11", "aliases written out"),
        ("corpus: &a {columns: *a}", "in itself"),
        ("corpus: " + "[" * 5000, "YAML"),
        ("corpus: " + "[" * 50 + "]" * 50, "nested too deeply"),
        ("corpus: {folds: 5}\ncorpus: {folds: 3}", "line 2: key 'corpus' is there twice"),
        ("corpus: {folds: 5, folds: 3}", "key 'folds' is there twice"),
        ("#" * 2**21, "larger than any"),
        (b"corpus: {root: \xff\xfe}", "not UTF-8"),
        (b"corpus: \x00", "not valid YAML"),
        ("corpus: !!python/object/apply:os.system [touch pwned]", "not valid YAML"),
        ("corpus: {folds: 2026-99-99}", "not valid YAML"),
        (f"corpus: {{folds: {'9' * 5000}}}", "not valid YAML"),
        (f"evaluate: {{seed: {'9' * 400}}}", "'evaluate.seed'"),
        ("{1: 2}", "1"),
        ("corpus: {root: '" + "x" * 100_000 + "'}", "longer than"),
        ('corpus: {root: "a\\0b"}', "control character"),
        ("5", "the file"),
        ("text", "the file"),
        ("[]", "the file"),
    ],
)
def test_a_hostile_document_is_one_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert said in refused(tmp_path, content)
    assert not Path("pwned").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("evaluate.seed", -1),
        ("pretrain.seed", -1),
        ("self_train.seed", 2**32),
        ("corpus.seed", -5),
        ("views.text.seed", 1e30),
        ("views.text.ngrams", [3, 1]),
        ("views.text.ngrams", [0, 3]),
        ("views.text.ngrams", [1, 10**6]),
        ("faces.crop_size", 20_000),
        ("compute.workers", 10**6),
        ("model.threads", 10**6),
        ("model.blocks", 10**9),
        ("model.width", 10**9),
        ("pretrain.learning_rate", 10**6),
        ("self_train.learning_rate", float("inf")),
        ("decode.max_seconds", float("inf")),
        ("decode.timeout_seconds", float("nan")),
        ("views.audio.window_seconds", float("inf")),
        ("views.audio.layers", [10**9]),
        ("views.face.onnx.size", 10**6),
        ("views.face.onnx.mean", [float("nan"), 0.0, 0.0]),
        ("views.face.onnx.deviation", [0.0, 1.0, 1.0]),
        ("evaluate.bootstrap", 10**12),
        ("decode.frames", 10**9),
        ("decode.max_side", 10**9),
        ("decode.max_pixels", 10**12),
        ("decode.memory_mb", 2**60),
        ("views.text.vocabulary", 10**18),
        ("views.text.dimensions", 10**9),
        ("corpus.folds", 2),
        ("corpus.folds", 10**9),
        ("self_train.steps", 10**12),
        ("pretrain.temperature", 1e-30),
        ("views.audio.batch_seconds", float("inf")),
        ("views.audio.layers", list(range(5000))),
        ("views.face.onnx.size", 0),
        ("views.face.onnx.mean", [1e9, 0.0, 0.0]),
        ("adapt_audio.layer", 10**9),
        ("adapt_audio.layer", -(10**9)),
        ("corpus.root", ""),
        ("views.audio.model", ""),
    ],
)
def test_an_absurd_value_is_one_line_that_names_its_key(tmp_path: Path, key: str, value: Any) -> None:
    section, *rest = key.split(".")
    nested: Any = value
    for name in reversed(rest):
        nested = {name: nested}
    assert f"'{key}" in refused(tmp_path, yaml.safe_dump({section: nested}))


def is_number(value: Any) -> bool:
    first = value[0] if isinstance(value, tuple) and value else value
    return isinstance(first, int | float) and not isinstance(first, bool)


def nested(key: str, value: Any) -> dict[str, Any]:
    for name in reversed(key.split(".")):
        value = {name: value}
    return dict(value)


def every_key(section: BaseModel, above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            found += every_key(value, f"{above}{name}.")
        elif isinstance(value, Mapping) and name == "views":
            found += [*((f"views.{own}", view) for own, view in value.items()), (name, value)]
            found += [key for own, view in value.items() for key in every_key(view, f"views.{own}.")]
        else:
            found.append((above + name, value))
    return found


HOSTILE = [
    float("inf"),
    float("-inf"),
    float("nan"),
    -1,
    -(10**40),
    10**40,
    1e300,
    10**18,
    "",
    "\ud800",
    "a\0",
    [],
    [[]],
    {},
    {"a": 1},
    True,
    None,
    [float("nan")] * 3,
    [10**40],
    b"bytes",
    "../../etc/passwd",
    "0x10",
]
LONG = ["x" * (LONGEST + 1), list(range(MOST_PARTS + 1))]
"""Not written as YAML, which takes its time, and there are some 120 keys: documents that are too long are above."""


def answer(read: Callable[[], Params]) -> tuple[Params | None, str]:
    """The params, or the line that refuses them."""
    try:
        return read(), ""
    except MerError as error:
        return None, str(error)


def answers(path: Path, key: str) -> Iterator[tuple[Any, Params | None, str]]:
    """What is said of each hostile value, written into a file or, if it is long, as it is."""
    for value in HOSTILE:
        path.write_text(yaml.safe_dump(nested(key, value)), encoding="utf-8", errors="backslashreplace")
        yield value, *answer(lambda: load_params(path))
    for value in LONG:
        yield value, *answer(lambda: parse_params(nested(key, value)))  # noqa: B023 - called at once


@pytest.mark.parametrize("key", [key for key, _ in every_key(Params())])
def test_any_value_under_any_key_is_taken_or_refused_with_the_key(tmp_path: Path, key: str) -> None:
    """About 120 keys times 24 values."""
    section = key.partition(".")[0]
    for value, params, line in answers(tmp_path / "params.yaml", key):
        if params is None:
            assert "\n" not in line
            assert section in line
            assert len(line) < 3000
        else:
            found = dict(every_key(params))[key]
            numbers = found if isinstance(found, tuple) else (found,)
            assert all(abs(n) <= 10**9 for n in numbers if isinstance(n, int | float)), (key, value)


@pytest.mark.parametrize(
    ("key", "default"), [(k, v) for k, v in every_key(Params()) if is_number(v) and not k.endswith("seed")]
)
def test_every_number_has_ends_of_its_own(key: str, default: Any) -> None:
    values = [-(10**9), 10**9]
    for value in values:
        with pytest.raises(MerError, match=key.rpartition(".")[2]):
            parse_params(nested(key, [value] * len(default) if isinstance(default, tuple) else value))


def test_heads_have_an_end_where_the_width_would_allow_more() -> None:
    with pytest.raises(MerError, match=r"model\.heads"):
        parse_params({"model": {"width": 4096, "heads": 2048}})


def test_every_limit_is_of_a_key_that_there_is_and_allows_its_default() -> None:
    keys = dict(every_key(Params()))
    assert LIMITS.keys() <= {key.removeprefix("views.") for key in keys}
    list(load_params("params.yaml"))


def test_a_folder_or_a_pipe_is_no_params_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(MerError, match="not a regular file"):
            load_params(path)


def test_anchors_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("pretrain: &one {seed: 3}\nself_train: {<<: *one, rounds: 0}")
    assert load_params(tmp_path / "params.yaml").self_train.seed == 3


def test_random_bytes_are_one_line_or_fine(tmp_path: Path) -> None:
    text = Path("params.yaml").read_bytes()
    draw = random.Random(0)
    for _ in range(DAMAGED):
        data = bytearray(text)
        for _ in range(draw.randint(1, 8)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        (tmp_path / "params.yaml").write_bytes(data)
        assert "\n" not in answer(lambda: load_params(tmp_path / "params.yaml"))[1]
