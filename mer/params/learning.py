"""The model, its training and its evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mer.params.base import Count, Fraction, Positive, Section


class ModelParams(Section):
    kind: Literal["mrccl", "logistic", "attention", "tfn", "lmf", "mult"] = "mrccl"
    """MR-CCL, or a baseline under the same protocol; only `mrccl` is pretrained."""
    modalities: tuple[Literal["audio", "face", "text"], ...] = ("audio", "face", "text")
    """Which modalities the model sees; one alone is allowed."""
    normalise: Literal["corpus", "group"] = "corpus"
    """Standardise features over all clips, or within each group (speaker) where groups are known; no labels used."""
    components: Annotated[int, Field(ge=0)] = 256
    """Wider features are rotated to this many principal components, fitted on all clips; 0 keeps every column."""
    width: Count = 128
    """Width of the encoders and of the classifiers' hidden layer."""
    blocks: Annotated[int, Field(ge=0)] = 1
    """Transformer blocks in each modality encoder."""
    heads: Count = 4
    """Attention heads; must divide `width`."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    """Share of the encoded features hidden from the classifiers in training."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model trains; `auto` takes a GPU where there is one."""
    threads: Annotated[int, Field(ge=0)] = 2
    """Threads that training takes on a CPU. Another number rounds differently; 0 takes one a core."""

    @model_validator(mode="after")
    def _consistent(self) -> ModelParams:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}")
        if not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise ValueError("modalities must name at least one, each once")
        return self


class PretrainParams(Section):
    epochs: Annotated[int, Field(ge=0)] = 30
    """Passes over all clips; 0 leaves the encoders random."""
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Clips contrasted with each other; the held-out clips are ranked among each other."""
    learning_rate: Positive = 1e-3
    """AdamW's, falling to zero along a half cosine."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    """AdamW's."""
    objective: Literal["nt_xent", "supcon", "sigmoid"] = "nt_xent"
    """NT-Xent, SupCon with the clip as its class, or SigLIP's pairwise loss. None of them uses a label."""
    temperature: Positive = 0.5
    """Initial temperature; every term learns its own."""
    inter_weight: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of the mean of the inter-modal terms."""
    noise_weight: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of the mean of the noise terms."""
    noise: Literal["gaussian", "impulse"] = "gaussian"
    """What the noisy copies are mixed with."""
    schedule: Literal["linear", "scaled_linear", "squared_cosine", "sigmoid"] = "linear"
    """How beta grows over the noise steps."""
    noise_steps: Count = 100
    """Steps of the schedule; each clip's step is drawn anew every time."""
    beta_start: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.001
    """Noise variance added at the first step."""
    beta_end: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Noise variance added at the last step."""
    labeled_out: bool = False
    """Hold out the labeled clips where at least half of the clips are not labeled: their encodings are then what those
    of new speakers will be. Worth a try where speakers are few and new ones come."""
    held_out: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    """Otherwise, the share of the clips held out to measure cross-modal retrieval; 0 holds out none and never stops."""
    patience: Count = 10
    """Epochs without better retrieval on the held-out clips before the best weights are taken."""
    seed: int = 0
    """Seed of the initial weights, the order of the clips, the noise and the held-out share."""


class SelfTrainParams(Section):
    rounds: Annotated[int, Field(ge=0)] = 1
    """How often teachers are trained again with their pseudo-labels; 0 uses none. Stops when growth stops."""
    seeds: Count = 2
    """Members trained on each training set, from other initial weights, batches and dropout."""
    steps: Count = 300
    """Optimiser steps of every member: the same for few labels as for many."""
    batch_size: Count = 32
    """Clips a step and member."""
    learning_rate: Positive = 1e-3
    """AdamW's for classifiers, falling to zero along a half cosine."""
    encoder_learning_rate: Annotated[float, Field(ge=0.0)] = 1e-4
    """AdamW's for a copy of the pretrained encoders in each member; 0 freezes them, and all members share them."""
    direct: bool = True
    """A linear layer from the features to the logits, beside the encoders; only where these are fine-tuned."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    """AdamW's."""
    oversampling: Fraction = 1.0
    """Exponent: 1 repeats clips until every class is as large as the largest, 0 repeats none."""
    logit_adjustment: Annotated[float, Field(ge=0.0)] = 0.0
    """Strength of logit adjustment, the alternative to oversampling: 1 is the published one, 0 is off."""
    modality_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Chance that a modality is hidden from a training clip; one always stays."""
    mixup: Annotated[float, Field(ge=0.0)] = 0.0
    """Both parameters of the Beta distribution that mixes features and labels of two clips; 0 is off."""
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Decay of an average of each member's weights, which then replaces them; 0 is off."""
    thresholds: Literal["published", "precision", "soft"] = "precision"
    """Fixed thresholds; per class the lowest that reaches `precision` out of fold; or every clip, softly weighted."""
    threshold: Fraction = 0.99
    """A pseudo-label needs this calibrated probability (`published`)."""
    low_threshold: Fraction = 0.85
    """The same for `low_classes`."""
    low_classes: tuple[str, ...] = ("worried", "surprise")
    """Classes that take `low_threshold`."""
    precision: Fraction = 0.9
    """Target share of right pseudo-labels per class (`precision`)."""
    quota: Fraction = 0.0
    """At most this share of the unlabeled clips, shared out by the classes' expected sizes; 0 sets no limit."""
    pseudo_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    """At most this share of what a member is shown are pseudo-labels."""
    prior: Literal["labeled", "em", "bbse"] = "labeled"
    """Expected class sizes among the unlabeled clips: as among the labeled ones, or estimated; see the rounds table."""
    voting: Literal["published", "equal", "learned", "stacking"] = "learned"
    """Weights of the audio, face, text and fused classifiers: 0.7, 0.4, 0.3, 0.7; equal; learned out of fold; or a
    regression on their out-of-fold log-probabilities."""
    seed: int = 0
    """Seed of every member's initial weights, batches and dropout."""


class EvaluateParams(Section):
    bootstrap: Annotated[int, Field(ge=100)] = 2000
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    seed: int = 0
