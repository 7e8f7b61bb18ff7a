"""Stage robustness: predictions under noise, blur, lost words, absent modalities; off unless `robustness.run`."""

from mer.params import Params
from mer.robustness.curves import robustness
from mer.stage import run


def main(params: Params) -> None:
    robustness(params).to_parquet("data/robustness.parquet", index=False)


if __name__ == "__main__":
    run(main)
