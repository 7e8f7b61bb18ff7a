"""What pickle and torch write of plain data comes back the same; a damaged file is one line of ours."""

from __future__ import annotations

import collections
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mer.errors import MerError
from mer.imports.plain import NAMES, settled
from mer.imports.unpickle import loads, read_pickle

DTYPES = st.one_of(
    nps.floating_dtypes(sizes=(16, 32, 64)), nps.integer_dtypes(), nps.unsigned_integer_dtypes(), nps.boolean_dtypes()
)
ARRAYS = nps.arrays(DTYPES, nps.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
TEXTS = nps.arrays(nps.unicode_string_dtypes(max_len=5), nps.array_shapes(max_dims=2, max_side=4))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary())
KEYS = st.one_of(st.text(), st.integers(), st.booleans())
PLAIN = st.recursive(
    st.one_of(SCALARS, ARRAYS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.sets(st.text(), max_size=3),
        st.lists(inner, max_size=3).map(lambda items: boxed(items)),
    ),
    max_leaves=12,
)


def boxed(items: list[Any]) -> np.ndarray:
    """An array of objects."""
    held = np.empty(len(items), object)
    for number, item in enumerate(items):
        held[number] = item
    return held


def same(found: Any, expected: Any) -> bool:
    found = settled(found)
    if isinstance(expected, np.ndarray):
        if found.shape != expected.shape or found.dtype != expected.dtype:
            return False
        if expected.dtype == object:
            return all(same(one, other) for one, other in zip(found.ravel(), expected.ravel(), strict=True))
        return found.tobytes() == np.asarray(expected, order="C").tobytes()
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], value) for key, value in expected.items())
    if isinstance(expected, list | tuple):
        return type(found) is type(expected) and len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(found, memoryview):
        return bytes(found) == expected
    return type(found) is type(expected) and found == expected


def read(data: bytes) -> Any:
    value, end = loads(memoryview(data), NAMES, "here")
    assert end == len(data)
    return value


@given(PLAIN, st.integers(0, 5))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_plain_data_comes_back_the_same(value: Any, protocol: int) -> None:
    assert same(read(pickle.dumps(value, protocol)), value)


@given(ARRAYS, st.sampled_from("<>"), st.booleans(), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_byte_orders_and_fortran_order_come_back_the_same(array: Any, order: str, fortran: bool, protocol: int) -> None:
    array = array.astype(array.dtype.newbyteorder(order), order="F" if fortran else "C")
    found = read(pickle.dumps(array, protocol)).numpy()
    assert found.dtype == array.dtype
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


@given(
    st.sampled_from(
        [torch.float16, torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
    ),
    st.lists(st.integers(0, 4), max_size=3),
    st.randoms(),
    st.integers(2, 5),
)
@settings(max_examples=150, deadline=None)
def test_tensors_come_back_the_same_as_views_too(dtype: Any, shape: list[int], random: Any, protocol: int) -> None:
    tensor = torch.arange(2 * int(np.prod(shape)) + 3).to(dtype)[random.randrange(3) :][: int(np.prod(shape))]
    tensor = tensor.reshape(shape)
    if shape and random.random() < 0.5:
        tensor = tensor.transpose(0, -1)
    found = read(pickle.dumps(tensor, protocol)).numpy()
    expected = tensor.float().numpy() if dtype == torch.bfloat16 else tensor.numpy()
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


@given(PLAIN, st.integers(0, 5), st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_pickle_is_an_error_of_ours_or_plain_data(value: Any, protocol: int, data: Any) -> None:
    whole = bytearray(pickle.dumps(value, protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(whole)))
    try:
        found, _ = loads(memoryview(bytes(whole[:cut])), NAMES, "here")
    except MerError as error:
        said = str(error)
    else:
        said = "here: "
        settled_all(found)
    assert said.startswith("here: ")
    assert len(said) < 1000


def settled_all(value: Any, depth: int = 0) -> None:
    """Whatever was read is of the types that are read, and its arrays can be made."""
    value = settled(value)
    assert isinstance(
        value, type(None) | bool | int | float | str | bytes | memoryview | list | tuple | dict | set | frozenset
    ) or type(value).__module__ in ("numpy", "mer.imports.unpickle", "mer.imports.plain")
    if isinstance(value, list | tuple) and depth < 50:
        for one in value:
            settled_all(one, depth + 1)


@pytest.mark.parametrize("protocol", range(6))
def test_a_file_cut_short_anywhere_is_said_to_be_damaged(tmp_path: Path, protocol: int) -> None:
    whole = pickle.dumps({"train": {"id": ["a", "b"], "audio": np.ones((2, 3), np.float32)}}, protocol)
    for size in range(1, len(whole)):
        (tmp_path / "a.pkl").write_bytes(whole[:size])
        with pytest.raises(MerError, match=r"a\.pkl: not a pickle, or a damaged one"):
            read_pickle(tmp_path / "a.pkl")


def test_containers_of_collections_come_as_dictionaries() -> None:
    counts: Any = collections.defaultdict(list, {"a": [1]})
    for protocol in range(6):
        found = read(pickle.dumps([collections.OrderedDict(b=1, a=2), counts, frozenset([1])], protocol))
        assert found == [{"b": 1, "a": 2}, {"a": [1]}, {1}]
        assert list(found[0]) == ["b", "a"]


def test_values_stay_in_the_memory_map(tmp_path: Path) -> None:
    """The arrays of a file of 64 MB are described without a copy."""
    values = np.ones((16, 1024, 1024), np.float32)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"train": {"audio": values}}, 4))
    array = read_pickle(tmp_path / "a.pkl")["train"]["audio"]
    assert isinstance(array.data, memoryview)
    assert array.numpy().base is not None
    assert not array.numpy().flags.writeable


def test_what_python_2_wrote_is_read() -> None:
    """Its byte strings, and numpy's arrays with them, as the older MOSI files have them."""
    program = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02U\x01bq\x03\x87q\x04R"
        b"q\x05(K\x01K\x02\x85q\x06cnumpy\ndtype\nq\x07U\x02f4q\x08K\x00K\x01\x87q\tRq\n(K\x03U\x01<q\x0bNNNJ\xff\xff"
        b"\xff\xffJ\xff\xff\xff\xffK\x00tq\x0cb\x89U\x08\x00\x00\x80?\x00\x00\x00@q\rtq\x0eb."
    )
    assert read(program).numpy().tolist() == [1.0, 2.0]
    assert read(b"S'a\\n b'\n.") == b"a\n b"


def test_a_tensor_without_values_keeps_its_shape() -> None:
    buffer = io.BytesIO()
    pickle.dump(torch.zeros(0, 3), buffer, 4)
    assert read(buffer.getvalue()).numpy().shape == (0, 3)
