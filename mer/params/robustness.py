"""The conditions that a trained bundle is tried in."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mer.params.base import Section

Share = Annotated[float, Field(gt=0.0, le=1.0)]
Decibel = Annotated[float, Field(ge=-50.0, le=100.0)]


class RobustnessParams(Section):
    run: bool = False
    """Off, the stage writes tables without rows."""
    noise: tuple[Literal["white", "pink", "babble"], ...] = ("white", "pink", "babble")
    """Added to the sound; babble is made of the corpus' own speech."""
    noise_files: tuple[str, ...] = ()
    """Recordings to add as well, by path."""
    snr: tuple[Decibel, ...] = (20.0, 15.0, 10.0, 5.0, 0.0)
    """Signal-to-noise ratios in dB."""
    mer_noise: bool = True
    """MER2023's recipe: noise at 5 to 10 dB and frames of low resolution, by chance."""
    blur: tuple[Share, ...] = (0.005, 0.01, 0.02)
    """Deviation of a Gaussian blur, as a share of the picture's longer side."""
    occlusion: tuple[Share, ...] = (0.1, 0.25, 0.5)
    """Shares of the picture under a grey rectangle."""
    low_resolution: tuple[Annotated[float, Field(ge=1.0, le=1000.0)], ...] = (2.0, 4.0, 8.0)
    """Factors by which frames are scaled down and up again."""
    dropped_words: tuple[Share, ...] = (0.2, 0.4, 0.6)
    """Shares of the words that are lost."""
    absent: bool = True
    """Each modality absent, and each pair."""
    training: Annotated[tuple[Literal["plain", "noise", "modality_dropout", "both"], ...], Field(min_length=1)] = (
        "plain",
    )
    """Trainings to compare: the bundle as it is (`plain`), or trained here with noisy copies of the labeled clips,
    with modalities hidden by chance, or with both."""
    train_snr: Annotated[tuple[Decibel, ...], Field(min_length=1)] = (5.0, 10.0, 20.0)
    """SNRs of the noisy copies, dealt out in turn."""
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name in ("noise", "noise_files", "snr", "blur", "occlusion", "low_resolution", "dropped_words", "training"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} must name each value once")
        return self
