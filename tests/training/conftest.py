"""Fixtures shared by the tests of training."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # import-mode=importlib does not make `synthetic` importable
