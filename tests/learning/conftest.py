"""Makes `synthetic`, the small feature set, importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "learning"))  # import-mode=importlib does not
