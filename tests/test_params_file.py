"""params.yaml shows every knob at its default."""

from __future__ import annotations

from pathlib import Path

import yaml

from mer.params import Params, load_params

PARAMS = Path(__file__).parents[1] / "params.yaml"


def test_params_yaml_holds_the_defaults() -> None:
    assert load_params(PARAMS) == Params()


def test_params_yaml_holds_every_key_so_that_dvc_can_set_it() -> None:
    defaults = Params().model_dump(mode="json")
    defaults["model"]["modalities"] = None  # all that have a view, whichever these are
    assert yaml.safe_load(PARAMS.read_text(encoding="utf-8")) == defaults
