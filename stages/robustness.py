"""Stage robustness: weighted-F1 under noise, blur, lost words and absent modalities; off unless `robustness.on`."""

from mer.params import Params
from mer.robustness.curves import robustness
from mer.stage import run, write_curve


def main(params: Params) -> None:
    curves, by_snr = robustness(params)
    write_curve("metrics/plots/robustness.csv", curves)
    write_curve("metrics/plots/robustness_snr.csv", by_snr)


if __name__ == "__main__":
    run(main)
