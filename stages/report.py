"""Stage report: a self-contained page to browse a run, data/report/index.html."""

from mer.evaluation.report import read_results, write_report
from mer.params import Params
from mer.running.stage import run


def main(params: Params) -> None:
    write_report("data/report/index.html", read_results(params))


if __name__ == "__main__":
    run(main)
