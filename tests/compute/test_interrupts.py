"""Ctrl-C is felt, and not in the middle of what must not be torn."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from mer.compute.interrupts import interrupts_held_back


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_inside_is_felt_at_the_end() -> None:
    done = []

    def interrupted() -> None:
        with interrupts_held_back():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the rest")
        done.append("what follows")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == ["the rest"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_exception_inside_comes_through_without_an_interrupt() -> None:
    with pytest.raises(ValueError, match="own"), interrupts_held_back():
        raise ValueError("own")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_and_ignored_interrupts_are_left_alone() -> None:
    found = []

    def other() -> None:
        with interrupts_held_back():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts_held_back():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
