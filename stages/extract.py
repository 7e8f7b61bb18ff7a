"""Stage extract, once a view: `python -m stages.extract NAME` writes its features into data/features/NAME."""

import sys

from mer.errors import MerError
from mer.extraction.views import extract_view
from mer.params import Params
from mer.running.stage import note_work, run


def extract(params: Params) -> None:
    if len(sys.argv) != 2:
        raise MerError("python -m stages.extract NAME: the name of a view is needed")
    [_, name] = sys.argv
    note_work(f"extract@{name}", **{name: extract_view(name, params)})


if __name__ == "__main__":
    run(extract)
