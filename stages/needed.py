"""Stage needed: what the params ask for beside the pipeline itself, into data/needed; see mer.running.needed."""

from mer.params import Params
from mer.params.needs import write_needs
from mer.running.stage import run


def main(params: Params) -> None:
    write_needs(params)


if __name__ == "__main__":
    run(main)
