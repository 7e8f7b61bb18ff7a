"""What encoders leave behind: the products that oneDNN compiles for every number of rows that it meets."""

import subprocess
import sys

import pytest

from mer.encoders.linear import padded_rows

GROWTH = """
import resource
import torch
from mer.encoders.linear import PackedLinear

torch.set_num_threads(1)
linear = PackedLinear(torch.randn(256, 256), torch.zeros(256), torch.float32)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with torch.inference_mode():
    for rows in range(1, 100):
        linear(torch.zeros(rows, 256))
    before = peak()
    for rows in range(100, 600):
        linear(torch.zeros(rows, 256))
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_lengths_that_were_seen() -> None:
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, check=True)
    assert float(done.stdout) < 60, "MiB for 500 more lengths; 330 where each is compiled and kept"


@pytest.mark.parametrize("least", [2, 64])
def test_rows_are_padded_by_little_and_to_few_numbers(least: int) -> None:
    padded = {rows: padded_rows(rows, least) for rows in range(10_000)}
    assert padded[0] == 0
    assert all(rows <= more <= max(least, rows + max(15, rows / 16)) for rows, more in padded.items() if rows)
    assert len(set(padded.values())) < 170
