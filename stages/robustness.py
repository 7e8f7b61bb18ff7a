"""Stage robustness: predictions under noise, blur, lost words, absent modalities; off unless `robustness.run`."""

import pandas as pd

from mer.params import Params
from mer.robustness.conditions import ROWS
from mer.running.stage import run


def main(params: Params) -> None:
    rows = pd.DataFrame(columns=ROWS)
    if params.robustness.run:
        from mer.robustness.curves import robustness  # takes seconds, for nothing where it is off

        rows = robustness(params)
    rows.to_parquet("data/robustness.parquet", index=False)


if __name__ == "__main__":
    run(main)
