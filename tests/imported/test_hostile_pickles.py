"""Pickles that carry code, or would fill the memory: refused in one line that names what they ask for; nothing runs."""

from __future__ import annotations

import builtins
import functools
import io
import os
import pickle
import re
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mer.errors import MerError
from mer.imports import open_source
from mer.imports.labels import read_labels
from mer.imports.unpickle import read_pickle

CANARY = "canary"


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class Plain:
    """A class of one's own: no code in it, and not to be made all the same."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 1


class Subclass(np.ndarray):
    pass


class State:
    def __init__(self) -> None:
        self.attribute = 1


TOUCH = f"touch {CANARY}"
PAYLOADS: dict[str, tuple[Any, str]] = {
    "os.system": (Calls(os.system, TOUCH), "posix.system"),
    "exec": (Calls(exec, f"open('{CANARY}', 'w')"), r"\.exec'"),
    "eval": (Calls(eval, "1"), r"\.eval'"),
    "getattr": (Calls(getattr, "", "join"), r"\.getattr'"),
    "import": (Calls(builtins.__import__, "os"), r"\.__import__'"),
    "open": (Calls(open, CANARY, "w"), r"\.open'"),
    "partial": (functools.partial(os.system, TOUCH), "functools.partial"),
    "a class": (Plain, r"Plain"),
    "an object": (State(), "State"),
    "slots": (Plain(), r"copyreg|copy_reg|Plain"),
    "an array of a class": (np.array([State()], dtype=object), "State"),
    "an array in an array": (
        np.array([np.array([Calls(os.system, TOUCH)], dtype=object)], dtype=object),
        "posix.system",
    ),
    "an array's subclass": (np.zeros(2).view(Subclass), "Subclass"),
    "numpy's own loader": (Calls(np.load, CANARY), r"numpy\.[\w.]*load'"),
    "numpy's memory map": (Calls(np.memmap, CANARY, "u1", "w+", 0, (1,)), r"numpy[\w.]*memmap'"),
    "a nested pickle": (Calls(pickle.loads, pickle.dumps(Calls(os.system, TOUCH))), r"loads'"),
    "torch.load": (Calls(torch.load, CANARY), "torch"),
    "records": (np.zeros(2, [("a", "f4")]), "dtype 'V4'|records"),
    "dates": (np.zeros(2, "M8[s]"), "dtype 'M8'"),
    "a defaultdict of a function": (__import__("collections").defaultdict(len), r"\.len'"),
}


@pytest.fixture(scope="module")
def started() -> Iterator[list[str]]:
    """What was started since it was cleared. An audit hook stays for good and slows all that follows: one will do."""
    events: list[str] = []
    watching = [True]

    def watch(event: str, _: Any) -> None:
        if event in ("os.system", "subprocess.Popen", "pickle.find_class") and watching:
            events.append(event)

    sys.addaudithook(watch)
    yield events
    watching.clear()


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[str]) -> Iterator[None]:
    """Every test here: the payload's file is not there afterwards, and no process was started."""
    monkeypatch.chdir(tmp_path)
    started.clear()
    yield
    assert not Path(CANARY).exists()
    assert started == []


def refused(read: Callable[[], Any], match: str) -> None:
    with pytest.raises(MerError, match=match) as raised:
        read()
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1000


def write(path: Path, content: Any, protocol: int) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_in_a_pickle_is_refused_by_name(tmp_path: Path, name: str, protocol: int) -> None:
    payload, what = PAYLOADS[name]
    if name == "slots" and protocol < 2:
        pytest.skip("protocols 0 and 1 have no slots")
    path = write(tmp_path / "a.pkl", {"train": {"id": ["a"], "audio": payload}}, protocol)
    refused(lambda: read_pickle(path), rf"a\.pkl: .*({what}).*refused, nothing was run")
    refused(lambda: open_source(path, name="audio"), what)


def test_a_lambda_is_refused_by_name(tmp_path: Path) -> None:
    """`pickle` cannot write one; cloudpickle and dill write a call of a function that makes code objects."""
    for module, name in [
        ("types", "CodeType"),
        ("cloudpickle.cloudpickle", "_make_function"),
        ("dill._dill", "_create_code"),
    ]:
        (tmp_path / "a.pkl").write_bytes(b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")R.")
        refused(lambda: read_pickle(tmp_path / "a.pkl"), rf"asks for '{module}\.{name}'")


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_in_an_array_of_objects_is_refused_by_name(tmp_path: Path, name: str) -> None:
    payload, what = PAYLOADS[name]
    corpus = {"a": {"emo": "happy", "val": payload}}
    held = np.empty((), object)
    held[()] = corpus
    np.savez(tmp_path / "label.npz", train_corpus=held)
    refused(lambda: read_labels(tmp_path / "label.npz"), what)
    np.savez_compressed(tmp_path / "label.npz", train_corpus=held)
    refused(lambda: read_labels(tmp_path / "label.npz"), what)
    refused(lambda: open_source(tmp_path / "label.npz"), "holds Python objects")


def test_an_array_of_objects_in_a_features_folder_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "x-UTT"
    folder.mkdir()
    np.save(folder / "a.npy", np.array([Calls(os.system, TOUCH)], dtype=object), allow_pickle=True)
    source = open_source(folder)
    refused(lambda: source.read("a"), r"clip 'a': .*a\.npy: holds Python objects")
    refused(source.width, r"clip 'a'|objects")


@pytest.mark.parametrize(
    "payload",
    [Calls(os.system, TOUCH), State(), functools.partial(os.system, TOUCH)],
    ids=["call", "object", "partial"],
)
def test_a_payload_in_a_torch_archive_is_refused_by_name(tmp_path: Path, payload: Any) -> None:
    torch.save({"train": {"id": ["a"], "audio": payload}}, tmp_path / "a.pkl")
    refused(lambda: open_source(tmp_path / "a.pkl", name="audio"), "refused, nothing was run|asks for")


def test_a_payload_where_a_tensors_storage_is_expected_is_refused_by_name(tmp_path: Path) -> None:
    content = Calls(torch.storage._load_from_bytes, pickle.dumps(Calls(os.system, TOUCH)))
    refused(lambda: read_pickle(write(tmp_path / "a.pkl", content, 4)), "posix.system")
    buffer = io.BytesIO()
    torch.save(Calls(os.system, TOUCH), buffer, _use_new_zipfile_serialization=False)
    content = Calls(torch.storage._load_from_bytes, buffer.getvalue())
    refused(lambda: read_pickle(write(tmp_path / "a.pkl", content, 4)), "posix.system")


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


SYSTEM = short("posix") + short("system")
PROGRAMS: dict[str, tuple[bytes, str]] = {
    "names from memory": (
        b"\x80\x04" + short("posix") + b"\x940" + short("system") + b"\x940h\x00h\x01\x93.",
        "posix.system",
    ),
    "dotted": (
        b"\x80\x04" + short("numpy") + short("core.multiarray.os.system") + b"\x93.",
        "numpy.core.multiarray.os.system",
    ),
    "dotted, of an allowed one": (
        b"\x80\x04" + short("numpy") + short("dtype.__class__") + b"\x93.",
        "dtype.__class__",
    ),
    "a name that is no text": (b"\x80\x04K\x01K\x02\x93.", "no text"),
    "INST": (b"(S'" + TOUCH.encode() + b"'\niposix\nsystem\n.", "posix.system"),
    "INST of an allowed one": (b"(inumpy\ndtype\n.", "numpy.dtype"),
    "OBJ": (b"(cbuiltins\nset\no.", "builds"),
    "OBJ of a name": (b"\x80\x02(cposix\nsystem\nX\x04\x00\x00\x00trueo.", "posix.system"),
    "NEWOBJ": (b"\x80\x02cbuiltins\nset\n)\x81.", "builtins.set"),
    "NEWOBJ_EX": (b"\x80\x04" + short("builtins") + short("set") + b"\x93)}\x92.", "builtins.set"),
    "a text is called": (b"\x80\x04" + short("system") + short("x") + b"\x85R.", "calls"),
    "a type is called": (b"\x80\x04" + short("builtins") + short("list") + b"\x93)R.", "calls 'builtins.list'"),
    "attributes of a dictionary": (b"\x80\x04}}" + short("a") + b"K\x01sb.", "sets attributes"),
    "attributes of a name": (
        b"\x80\x04" + short("builtins") + short("list") + b"\x93}" + short("a") + b"K\x01sb.",
        "sets attr",
    ),
    "an extension code": (b"\x80\x02\x82\x01.", "extension"),
    "a persistent id": (b"\x80\x02K\x01Q.", "persistent"),
    "a persistent id in text": (b"P1\n.", "persistent"),
    "a buffer from outside": (b"\x80\x05\x97.", "outside"),
    "a far place in memory": (b"\x80\x02Nr\xff\xff\xff\x7f0j\xff\xff\xff\xff.", "never put"),
    "an unknown protocol": (b"\x80\x09N.", "protocol 9"),
    "an unknown opcode": (b"\x80\x02\xffN.", "opcode"),
    "an empty stack": (b"\x80\x02.", "empty stack"),
    "no end": (b"\x80\x02N", "ends at byte"),
    "no mark": (b"\x80\x02t.", "no mark"),
    "two values": (b"\x80\x02N.N.", "2 bytes after the end"),
    "a promise of 2^62 bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.", "ends at byte"),
    "a promise of 2^63 letters": (b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"x.", "ends at byte"),
    "a promise of 4 GB": (b"\x80\x03B" + struct.pack("<I", 2**32 - 1) + b"x.", "ends at byte"),
    "a frame of 2^62 bytes": (b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.", "frame"),
    "a size below zero": (b"\x80\x02\x8b" + struct.pack("<i", -5) + b".", "ends at byte"),
    "a tuple as a key": (b"\x80\x02}N\x85Ns.", "tuple as a key"),
    "a list as a key": (b"\x80\x02}]Ns.", "list as a key"),
    "a number of a million digits": (b"I" + b"9" * 1_000_000 + b"\n.", "not a pickle|damaged"),
    "text outside of Unicode": (b"\x80\x04\x8c\x02\xff\xfe.", "not a pickle|damaged"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_by_hand_is_refused(tmp_path: Path, name: str) -> None:
    program, what = PROGRAMS[name]
    (tmp_path / "a.pkl").write_bytes(program)
    refused(lambda: read_pickle(tmp_path / "a.pkl"), what)


def array_of(shape: bytes, data: bytes, dtype: bytes = b"f4") -> bytes:
    """A program that describes an array of any shape, with any bytes."""
    kind = short("numpy") + short("dtype") + b"\x93" + short(dtype.decode()) + b"\x89\x88\x87R"
    kind += b"(K\x03" + short("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    start = short("numpy.core.multiarray") + short("_reconstruct") + b"\x93"
    start += short("numpy") + short("ndarray") + b"\x93K\x00\x85C\x01b\x87R"
    return b"\x80\x04" + start + b"(K\x01" + shape + kind + b"\x89C" + bytes([len(data)]) + data + b"tb."


@pytest.mark.parametrize(
    ("shape", "data", "what"),
    [
        (b"M\xff\xff\x85", b"\0\0\0\0", "shape"),
        (b"\x8a\x08" + struct.pack("<q", 2**62) + b"\x85", b"", "shape"),
        (b"J\xff\xff\xff\xff\x85", b"\0\0\0\0", "shape"),
        (b"M\xff\xffM\xff\xff\x86", b"", "shape"),
        (b"N\x85", b"", "shape"),
        (b"K\x01", b"\0\0\0\0", "shape"),
    ],
)
def test_an_array_that_is_not_as_long_as_its_shape_is_refused(
    tmp_path: Path, shape: bytes, data: bytes, what: str
) -> None:
    (tmp_path / "a.pkl").write_bytes(array_of(shape, data))
    refused(lambda: read_pickle(tmp_path / "a.pkl"), what)


def test_the_array_by_hand_is_one_where_its_shape_is_right(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(array_of(b"K\x02\x85", struct.pack("<2f", 1.5, 2.5)))
    assert read_pickle(tmp_path / "a.pkl").numpy().tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    "code", ["V8", "M8[ns]", "c16", "f16", "f4,f4", "(2,)f4", "O16", "U99999999", "object", "datetime64"]
)
def test_a_dtype_that_is_neither_number_nor_text_is_refused(tmp_path: Path, code: str) -> None:
    (tmp_path / "a.pkl").write_bytes(array_of(b"K\x00\x85", b"", code.encode()))
    refused(lambda: read_pickle(tmp_path / "a.pkl"), "dtype '" + re.escape(code))


def doubled(times: int, leaf: bytes = b"N") -> bytes:
    """Lists that hold the last one ten times: a file of some hundred bytes that stands for ten to the `times`."""
    program = b"\x80\x04]" + leaf + b"a\x94"
    for number in range(times):
        program += b"](" + b"h" + bytes([number])
        program = program + (b"h" + bytes([number])) * 9 + b"e\x94"
    return program


def test_lists_that_hold_each_other_are_not_written_out(tmp_path: Path) -> None:
    laughs = doubled(60, b"K\x01")
    value = b"}(" + short("train") + b"}(" + short("id") + b"]" + short("a") + b"a" + short("audio") + b"h\x3cuu"
    (tmp_path / "a.pkl").write_bytes(laughs + value + b".")
    refused(lambda: open_source(tmp_path / "a.pkl", name="audio"), "a.pkl: 'train'/'audio'")
    as_ids = b"}(" + short("train") + b"}(" + short("id") + b"h\x3c" + short("audio") + b"h\x3cuu."
    (tmp_path / "a.pkl").write_bytes(laughs + as_ids)
    refused(lambda: open_source(tmp_path / "a.pkl", name="audio"), "a.pkl: 'train'/'id'")


def test_lists_of_few_levels_are_counted_before_they_are_written_out(tmp_path: Path) -> None:
    """Three levels of a thousand references each: a file of some kilobytes that stands for a thousand million."""
    program = b"\x80\x04](" + b"K\x01" * 1000 + b"e\x94"
    for number in range(2):
        program += b"](" + (b"h" + bytes([number])) * 1000 + b"e\x94"
    program += b"}" + short("train") + b"}(" + short("id") + b"]" + short("a") + b"a" + short("audio") + b"h\x02us."
    (tmp_path / "a.pkl").write_bytes(program)
    refused(lambda: open_source(tmp_path / "a.pkl", name="audio"), "'train'/'audio': more values than any file says")


def test_an_array_of_another_class_is_refused(tmp_path: Path) -> None:
    program = b"\x80\x04" + short("numpy.core.multiarray") + short("_reconstruct") + b"\x93"
    (tmp_path / "a.pkl").write_bytes(program + short("builtins") + short("list") + b"\x93K\x00\x85C\x01b\x87R.")
    refused(lambda: read_pickle(tmp_path / "a.pkl"), "an array of a class of its own; refused")


def test_a_list_that_holds_itself_is_no_array(tmp_path: Path) -> None:
    program = b"\x80\x04}" + short("train") + b"}(" + short("id") + b"]" + short("a") + b"a" + short("audio")
    (tmp_path / "a.pkl").write_bytes(program + b"]\x94h\x00aus.")
    refused(lambda: open_source(tmp_path / "a.pkl", name="audio"), "'train'/'audio'")


def test_text_that_is_encoded_over_and_over_is_refused(tmp_path: Path) -> None:
    text = b"\x8d" + struct.pack("<Q", 100_000) + b"a" * 100_000
    encode = short("_codecs") + short("encode") + b"\x93\x94"
    program = b"\x80\x04" + encode + text + b"\x94" + short("latin1") + b"\x94]" + b"h\x00h\x01h\x02\x86Ra" * 10_000
    (tmp_path / "a.pkl").write_bytes(program + b".")
    refused(lambda: read_pickle(tmp_path / "a.pkl"), "over and over")


def test_lists_that_are_copied_over_and_over_are_refused(tmp_path: Path) -> None:
    program = b"\x80\x04" + short("builtins") + short("set") + b"\x93\x94](" + b"K\x01" * 100_000 + b"e\x94"
    (tmp_path / "a.pkl").write_bytes(program + b"]" + b"h\x00h\x01\x85Ra" * 1000 + b".")
    refused(lambda: read_pickle(tmp_path / "a.pkl"), "steps")


def test_deep_nesting_is_no_crash(tmp_path: Path) -> None:
    program = b"\x80\x04}" + short("train") + b"}(" + short("id") + b"]" + short("a") + b"a" + short("audio") + b"N"
    (tmp_path / "a.pkl").write_bytes(program + b"\x85" * 200_000 + b"us.")
    refused(lambda: open_source(tmp_path / "a.pkl", name="audio"), "too deep")


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    storage = torch.ones(4)._typed_storage()
    for arguments in [
        (0, (5,), (1,)),
        (2, (3,), (1,)),
        (0, (2, 2), (1, 4)),
        (0, (10**9,), (0,)),
        (-1, (1,), (1,)),
        (0, (2,), ()),
    ]:
        content = Calls(torch._utils._rebuild_tensor_v2, storage, *arguments, False, {})
        refused(lambda content=content: read_pickle(write(tmp_path / "a.pkl", content, 4)), "tensor|shape")


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04", b"hello, world\n", b"\0" * 100])
def test_what_is_no_pickle_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    refused(lambda: open_source(tmp_path / "a.pkl"), r"a\.pkl: ")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pkl")
    refused(lambda: open_source(tmp_path / "a.pkl"), r"a\.pkl: not a regular file")
