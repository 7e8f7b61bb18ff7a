from pathlib import Path

import pytest

from sample.params import CorpusParams, load_params


@pytest.fixture(scope="session")
def params() -> CorpusParams:
    return load_params(Path(__file__).parents[2] / "sample/params.yaml").corpus
