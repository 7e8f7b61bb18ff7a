"""Hidden layers against fairseq and torchaudio themselves, on sharpened random weights of real architectures.

    make parity

makes an environment of its own for them, since neither installs beside the project's packages, and runs this there.
Every clip of a mixed batch is compared with what the peer gives it alone; one line a model, and exit status 1
where a layer differs by more than 1e-4.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

TOLERANCE = 1e-4
LENGTHS = (400, 9_999, 24_000, 64_321)
QUANTIZED: dict[str, Any] = {"quantize_targets": True}
PRE_NORM: dict[str, Any] = {"extractor_mode": "layer_norm", "layer_norm_first": True, "encoder_layers": 6}


def clips() -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    tones = [np.sin(2 * np.pi * rng.uniform(90, 250) * np.arange(length) / 16_000) for length in LENGTHS]
    return [(0.2 * tone + 0.05 * rng.standard_normal(len(tone))).astype(np.float32) for tone in tones]


def sharpen(model: nn.Module) -> None:
    """Uneven attention and norms: with weights as they are initialised, both hide mistakes."""
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if "q_proj.weight" in name or "k_proj.weight" in name:
                parameter.mul_(3.0)
            elif "norm" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))


def compare(name: str, checkpoint: Path, peer: Callable[[torch.Tensor], list[torch.Tensor]], version: str) -> bool:
    """Print the largest difference of any layer of any clip."""
    from mer.encoders.speech import load_speech_encoder  # with transformers, which looks for torchaudio: after the stub

    batch, worst = clips(), 0.0
    for clip, layers in zip(batch, load_speech_encoder(checkpoint).layers(batch), strict=True):
        with torch.no_grad():
            expected = torch.stack(peer(torch.from_numpy(clip)[None])).numpy()
        if expected.shape != layers.shape:
            raise SystemExit(f"{name}: {layers.shape} instead of {expected.shape}")
        worst = max(worst, float(np.abs(layers - expected).max()))
    print(f"| {name} | {version} | {len(layers)} | {worst:.1e} |", flush=True)
    return worst <= TOLERANCE


def against_fairseq(folder: Path) -> Iterator[bool]:
    import fairseq
    from fairseq.data.dictionary import Dictionary
    from fairseq.models.hubert import HubertConfig, HubertModel
    from fairseq.models.wav2vec import Wav2Vec2Config, Wav2Vec2Model
    from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig

    task = HubertPretrainingConfig(labels=["km"], label_rate=50.0)
    for name, options in (("HuBERT base", {}), ("HuBERT, pre-norm", PRE_NORM)):
        config = HubertConfig(label_rate=50.0, **options)
        model = HubertModel(config, task, [Dictionary()]).eval()
        yield _against_fairseq_model(f"{name} (.pt)", "hubert", model, config, folder, fairseq.__version__)
    for name, options in (("wav2vec 2.0 base", QUANTIZED), ("wav2vec 2.0, pre-norm", PRE_NORM)):
        config = Wav2Vec2Config(**options)
        model = Wav2Vec2Model(config).eval()
        yield _against_fairseq_model(f"{name} (.pt)", "wav2vec2", model, config, folder, fairseq.__version__)


def _against_fairseq_model(name: str, kind: str, model: Any, config: Any, folder: Path, version: str) -> bool:
    """Save the model as fairseq does, and compare with what its own encoder gives."""
    sharpen(model)
    normalize = config.layer_norm_first
    values = {key: getattr(value, "value", value) for key, value in dataclasses.asdict(config).items()}
    file = folder / "checkpoint.pt"
    torch.save(
        {
            "args": None,
            "cfg": {"model": {**values, "_name": kind}, "task": {"normalize": normalize}},
            "model": model.state_dict(),
        },
        file,
    )

    def layers(x: torch.Tensor) -> list[torch.Tensor]:
        x = nn.functional.layer_norm(x, x.shape) if normalize else x
        frames = model.layer_norm(model.feature_extractor(x).transpose(1, 2))
        if model.post_extract_proj is not None:
            frames = model.post_extract_proj(frames)
        _, results = model.encoder.extract_features(frames)
        return [result[0].transpose(0, 1)[0, : frames.shape[1]] for result in results]

    return compare(name, file, layers, f"fairseq {version}")


def against_torchaudio(folder: Path) -> Iterator[bool]:
    import torchaudio
    import transformers
    from torchaudio.models.wav2vec2.utils import import_huggingface_model

    pre_norm = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "num_hidden_layers": 6}
    for name, family in (("HuBERT", "Hubert"), ("wav2vec 2.0", "Wav2Vec2"), ("WavLM", "WavLM")):
        for kind, options in (("base", {}), ("pre-norm", pre_norm)):
            config = getattr(transformers, f"{family}Config")(**options)
            model = getattr(transformers, f"{family}Model")(config).eval()
            sharpen(model)
            where = folder / f"{family}-{kind}"
            model.save_pretrained(where)
            transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(where)
            peer = import_huggingface_model(model).eval()

            def layers(x: torch.Tensor, peer: Any = peer) -> list[torch.Tensor]:
                return [layer[0] for layer in peer.extract_features(x)[0]]

            yield compare(f"{name} {kind} (folder)", where, layers, f"torchaudio {torchaudio.__version__}")


def _no_extension() -> types.ModuleType:
    """A stand-in for torchaudio's compiled part, which is linked to CUDA and not needed here."""
    stub = types.ModuleType("torchaudio._extension")
    stub.fail_if_no_align = lambda function: function  # type: ignore[attr-defined]
    for flag in ("_IS_TORCHAUDIO_EXT_AVAILABLE", "_IS_RIR_AVAILABLE", "_IS_ALIGN_AVAILABLE"):
        setattr(stub, flag, False)
    return stub


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    sys.modules["torchaudio._extension"] = _no_extension()
    torch.manual_seed(0)
    print("| model | peer | blocks | largest difference |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        passed = [*against_fairseq(Path(scratch)), *against_torchaudio(Path(scratch))]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
