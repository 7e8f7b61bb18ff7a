"""Pickles of plain data, read without Python's unpickler: features and labels come as pickles, and so does hidden code.

A pickle is a program for a stack machine. This is that machine with no way to call anything: a name that the program
asks for is looked up in the allow-list of `mer.imports.plain` (numpy's arrays, PyTorch's tensors, containers, numbers,
text), and what is not there is refused by name before anything else of the file is read. What the names stand for only
describes arrays; their values stay in the file's memory map until they are asked for, so a pickle of many gigabytes
costs what is read of it. (Checkpoints go another way, by PyTorch's own reader: see
`mer.encoders.checkpoints.pickles`.)

Source: the opcodes as `pickletools` documents them, protocols 0 to 5.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mer.errors import MerError
from mer.imports.regular import check_regular
from mer.running.foreign import foreign

MOST_STEPS = 20_000_000
"""Opcodes of one file; the labels of a hundred thousand clips take some three million."""
LONGEST_NAME = 200
MOST_TIMES = 4
"""How often calls may take all the text of a file; protocol 2 takes a tensor's bytes twice."""
COPIED = 4096
"""Bytes: shorter ones are copied, longer ones stay where they are."""
KEYS = (str, int, float, bool, bytes, type(None))
"""What may be a key: hashing a tuple that holds itself many times over takes for ever."""


class Name:
    """What an allowed name stands for. `make` builds it from the arguments of a call; None where it is not called."""

    def __init__(self, name: str, make: Callable[..., Any] | None = None) -> None:
        self.name, self.make = name, make


class Buildable:
    """What a pickle describes in two steps: a call, then a state."""

    def set_state(self, state: Any) -> None:
        raise NotImplementedError


class DamagedError(Exception):
    """The program is none that a pickler writes."""


class RefusedError(Exception):
    """The program asks for something that is no plain data."""


def read_pickle(path: Path) -> Any:
    """The value that a pickle file holds, with arrays as `mer.imports.plain.Array`.

    Raises:
        MerError: it is missing, no pickle, damaged, or asks for more than plain data; the line names what for.
    """
    from mer.imports.plain import NAMES

    with foreign(str(path)):
        check_regular(path)
        with open(path, "rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        value, end = loads(data, NAMES, str(path))
        if end != len(data):
            raise MerError(f"{path}: {len(data) - end} bytes after the end of its pickle; one value a file is read")
        return value


def loads(
    data: memoryview,
    names: Mapping[str, Name],
    where: str,
    *,
    start: int = 0,
    persistent: Callable[[Any], Any] | None = None,
) -> tuple[Any, int]:
    """Run one pickle program over `data`; gives its value and where it ends.

    Raises:
        MerError: the line begins with `where`.
    """
    machine = _Machine(data, names, start, persistent)
    try:
        return machine.run(), machine.at
    except RefusedError as error:
        raise MerError(f"{where}: {error}; refused, nothing was run") from None
    except MemoryError:
        raise
    except MerError as error:
        raise MerError(f"{where}: {error}") from None
    except DamagedError as error:
        raise MerError(f"{where}: not a pickle, or a damaged one: {error}") from None
    except Exception as error:  # what a hostile program does to the machine has no one type
        raise MerError(f"{where}: not a pickle, or a damaged one ({type(error).__name__})") from None


class _Machine:
    """The stack machine. `steps` counts opcodes and what calls copy: a small file must not fill the memory."""

    def __init__(
        self, data: memoryview, names: Mapping[str, Name], start: int, persistent: Callable[[Any], Any] | None
    ) -> None:
        self.data, self.names, self.at, self.persistent = data, names, start, persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.steps = 0
        self.encoded = 0

    def run(self) -> Any:
        while True:
            self.count(1)
            code = self.take(1)[0]
            if code == STOP:
                return self.pop()
            step = STEPS.get(code)
            if step is None:
                raise DamagedError(f"opcode {code:#04x} at byte {self.at - 1}")
            step(self)

    # What opcodes share.

    def count(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise DamagedError(f"it takes more than {MOST_STEPS} steps")

    def take(self, size: int) -> memoryview:
        if size < 0 or size > len(self.data) - self.at:
            raise DamagedError(f"it ends at byte {len(self.data)}, amid a value")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, kind: str) -> int:
        return int(struct.unpack(kind, self.take(struct.calcsize(kind)))[0])

    def line(self) -> bytes:
        size = 256
        while True:
            piece = bytes(self.data[self.at : self.at + size])
            end = piece.find(b"\n")
            if end >= 0:
                self.at += end + 1
                return piece[:end]
            if len(piece) < size:
                raise DamagedError(f"it ends at byte {len(self.data)}, amid a value")
            size *= 4

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise DamagedError("it takes from an empty stack")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise DamagedError(f"no {kind.__name__} where one is filled")
        return self.stack[-1]

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        if not self.marks:
            raise DamagedError("no mark")
        items, self.stack = self.stack, self.marks.pop()
        return items

    def bytes_of(self, size: int) -> None:
        piece = self.take(size)
        self.push(bytes(piece) if size < COPIED else piece)

    def text_of(self, size: int) -> None:
        self.push(str(self.take(size), "utf-8", "surrogatepass"))

    def put(self, place: int) -> None:
        if not self.stack:
            raise DamagedError("it remembers what is not there")
        self.memo[place] = self.stack[-1]

    def get(self, place: int) -> None:
        if place not in self.memo:
            raise DamagedError(f"it recalls number {place}, which it never put")
        self.push(self.memo[place])

    def set_items(self, pairs: list[Any]) -> None:
        if len(pairs) % 2:
            raise DamagedError("a key without a value")
        filled = self.top(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            filled[hashable(key)] = value

    def extend(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    # Names, calls and states.

    def find(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise DamagedError("a name that is no text")
        full = f"{module}.{name}"
        if full not in self.names:
            raise RefusedError(f"its pickle asks for '{full[:LONGEST_NAME]}', which may be hidden code")
        self.push(self.names[full])

    def call(self) -> None:
        arguments, called = self.pop(), self.pop()
        if not isinstance(called, Name) or called.make is None:
            what = called.name if isinstance(called, Name) else f"a {type(called).__name__}"
            raise RefusedError(f"its pickle calls '{what}'")
        if not isinstance(arguments, tuple):
            raise DamagedError("a call without a tuple of arguments")
        self.count(sum(len(one) for one in arguments if isinstance(one, list | tuple | dict | set)))
        self.encoded += sum(len(one) for one in arguments if isinstance(one, str | bytes))
        if self.encoded > MOST_TIMES * len(self.data):
            raise DamagedError("it takes the same text over and over")
        self.push(called.make(*arguments))

    def build(self) -> None:
        state = self.pop()
        if not self.stack:
            raise DamagedError("a state of nothing")
        built = self.stack[-1]
        if isinstance(built, Buildable):
            built.set_state(state)
        elif state:
            raise RefusedError(f"its pickle sets attributes of a {type(built).__name__}")

    def persist(self, key: Any) -> None:
        if self.persistent is None:
            raise RefusedError("its pickle refers to what lies outside of it (a persistent id)")
        self.push(self.persistent(key))


def hashable(key: Any) -> Any:
    """A key of a dictionary or a set."""
    if not isinstance(key, KEYS):
        raise DamagedError(f"a {type(key).__name__} as a key")
    return key


def _integer(machine: _Machine) -> None:
    text = machine.line()
    machine.push({b"00": False, b"01": True}[text] if text in (b"00", b"01") else int(text))


def _long(machine: _Machine, size: int) -> None:
    machine.push(int.from_bytes(machine.take(size), "little", signed=True))


def _string(machine: _Machine) -> None:
    """Of protocol 0: Python 2's own notation of a byte string."""
    import ast

    value = ast.literal_eval("b" + machine.line().decode("ascii"))
    if not isinstance(value, bytes):
        raise DamagedError("a string that is none")
    machine.push(value)


def _byte_array(machine: _Machine) -> None:
    machine.bytes_of(machine.number("<Q"))


def _tuple(machine: _Machine, size: int) -> None:
    items = [machine.pop() for _ in range(size)]
    machine.push(tuple(reversed(items)))


def _pop(machine: _Machine) -> None:
    if machine.stack:
        machine.pop()
    else:
        machine.since_mark()


def _frame(machine: _Machine) -> None:
    if machine.number("<Q") > len(machine.data) - machine.at:
        raise DamagedError(f"it ends at byte {len(machine.data)}, amid a frame")


def _dictionary(machine: _Machine) -> None:
    pairs = machine.since_mark()
    machine.push({})
    machine.set_items(pairs)


def _set_item(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _add_items(machine: _Machine) -> None:
    items = machine.since_mark()
    machine.top(set).update(map(hashable, items))


def _protocol(machine: _Machine) -> None:
    version = machine.take(1)[0]
    if version > 5:
        raise DamagedError(f"protocol {version}, and 5 is the latest known")


def _instance(machine: _Machine) -> None:
    module, name = (machine.line().decode("utf-8", "replace") for _ in range(2))
    raise RefusedError(f"its pickle asks for '{module}.{name}'"[:LONGEST_NAME])


def _class_of(machine: _Machine, what: str, depth: int) -> None:
    called = machine.stack[-depth] if len(machine.stack) >= depth else None
    raise RefusedError(f"its pickle builds a '{called.name if isinstance(called, Name) else what}'")


def _global(machine: _Machine) -> None:
    module, name = (machine.line().decode("utf-8") for _ in range(2))
    machine.find(module, name)


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.find(module, name)


def _outside(machine: _Machine) -> None:
    raise RefusedError("its pickle takes values from outside of the file")


def _extension(machine: _Machine) -> None:
    raise RefusedError("its pickle asks for a name by an extension code")


STOP = ord(".")
STEPS: dict[int, Callable[[_Machine], Any]] = {
    0x80: _protocol,
    0x95: _frame,
    # numbers
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("I"): _integer,
    ord("J"): lambda m: m.push(m.number("<i")),
    ord("K"): lambda m: m.push(m.number("<B")),
    ord("M"): lambda m: m.push(m.number("<H")),
    ord("L"): lambda m: m.push(int(m.line().rstrip(b"L"))),
    0x8A: lambda m: _long(m, m.number("<B")),
    0x8B: lambda m: _long(m, m.number("<i")),
    ord("F"): lambda m: m.push(float(m.line())),
    ord("G"): lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    # text and bytes
    ord("S"): _string,
    ord("T"): lambda m: m.bytes_of(m.number("<i")),
    ord("U"): lambda m: m.bytes_of(m.number("<B")),
    ord("B"): lambda m: m.bytes_of(m.number("<I")),
    ord("C"): lambda m: m.bytes_of(m.number("<B")),
    0x8E: lambda m: m.bytes_of(m.number("<Q")),
    0x96: _byte_array,
    ord("V"): lambda m: m.push(m.line().decode("raw-unicode-escape")),
    ord("X"): lambda m: m.text_of(m.number("<I")),
    0x8C: lambda m: m.text_of(m.number("<B")),
    0x8D: lambda m: m.text_of(m.number("<Q")),
    0x97: _outside,
    0x98: _outside,
    # containers
    ord("("): lambda m: m.mark(),
    ord("0"): _pop,
    ord("1"): lambda m: m.since_mark(),
    ord("2"): lambda m: m.push(m.top(object)),
    ord("]"): lambda m: m.push([]),
    ord("}"): lambda m: m.push({}),
    0x8F: lambda m: m.push(set()),
    ord(")"): lambda m: m.push(()),
    0x85: lambda m: _tuple(m, 1),
    0x86: lambda m: _tuple(m, 2),
    0x87: lambda m: _tuple(m, 3),
    ord("t"): lambda m: m.push(tuple(m.since_mark())),
    ord("l"): lambda m: m.push(m.since_mark()),
    ord("d"): _dictionary,
    0x91: lambda m: m.push(frozenset(map(hashable, m.since_mark()))),
    ord("a"): lambda m: m.extend([m.pop()]),
    ord("e"): lambda m: m.extend(m.since_mark()),
    ord("s"): _set_item,
    ord("u"): lambda m: m.set_items(m.since_mark()),
    0x90: _add_items,
    # memory
    ord("p"): lambda m: m.put(int(m.line())),
    ord("q"): lambda m: m.put(m.number("<B")),
    ord("r"): lambda m: m.put(m.number("<I")),
    0x94: lambda m: m.put(len(m.memo)),
    ord("g"): lambda m: m.get(int(m.line())),
    ord("h"): lambda m: m.get(m.number("<B")),
    ord("j"): lambda m: m.get(m.number("<I")),
    # names, calls, states
    ord("c"): _global,
    0x93: _stack_global,
    ord("R"): lambda m: m.call(),
    ord("b"): lambda m: m.build(),
    ord("i"): _instance,
    ord("o"): lambda m: _class_of(m, "class", 1),
    0x81: lambda m: _class_of(m, "class", 2),
    0x92: lambda m: _class_of(m, "class", 3),
    0x82: _extension,
    0x83: _extension,
    0x84: _extension,
    ord("P"): lambda m: m.persist(m.line().decode("ascii")),
    ord("Q"): lambda m: m.persist(m.pop()),
}
