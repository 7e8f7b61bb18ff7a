"""The model, its training and its evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mer.params.base import Count, Fraction, Modality, Positive, Section

Seed = Annotated[int, Field(ge=0)]


class ModelParams(Section):
    kind: Literal["mrccl", "logistic", "attention", "tfn", "lmf", "mult"] = "mrccl"
    """MR-CCL beside the linear floor, the floor alone (`logistic`), or a baseline under the same protocol; only `mrccl`
    is pretrained."""
    modalities: tuple[Modality, ...] = ()
    """Which modalities the model sees; one alone is allowed, None takes all that have a view."""
    normalise: tuple[Literal["corpus", "group", "guessed"], ...] = ("corpus", "group", "guessed")
    """Ways to standardise features, without labels: over all clips, within each known group (speaker), or within
    speakers guessed. The first is taken unless another is better on clips that the deciding models never saw."""
    speakers: tuple[Annotated[int, Field(ge=2)], ...] = (4, 8)
    """How many speakers are guessed, at most, from each modality; every number is a candidate."""
    components: Annotated[int, Field(ge=0)] = 256
    """Wider features are rotated to this many principal components, fitted on all clips; 0 keeps every column."""
    whiten: bool = False
    """Give each of these components the same variance; otherwise all of a modality's share one scale."""
    width: Count = 128
    """Width of the encoders and of the classifiers' hidden layer."""
    blocks: Annotated[int, Field(ge=0)] = 1
    """Transformer blocks in each modality encoder."""
    heads: Count = 4
    """Attention heads; must divide `width`."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    """Share of the encoded features hidden from the classifiers in training."""
    frame_tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens that attention pooling over time makes of each view's frames, where it has them (`views.NAME.frames`), in
    place of its vector; 0 reads vectors only. Linear experts always do."""
    most_frames: Count = 128
    """Frames of a clip that attention looks at; those of a longer one are averaged over as many equal parts."""
    view_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of a clip's views hidden from the model in training, where another one of the modality is there."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model trains; `auto` takes a GPU where there is one."""
    threads: Annotated[int, Field(ge=0)] = 2
    """Threads on a CPU. Self-training trains members side by side, whatever their number gives the same; pretraining of
    10,000 clips or more shares its sums among them, and rounds differently with another number. 0 takes one a core."""

    @property
    def reads_frames(self) -> bool:
        """Whether encoders look at frames: only MR-CCL has encoders that could."""
        return self.kind == "mrccl" and self.frame_tokens > 0

    @field_validator("modalities", mode="before")
    @classmethod
    def _none_is_all(cls, value: Any) -> Any:
        return () if value is None else value

    @field_validator("modalities")
    @classmethod
    def _in_order(cls, value: tuple[Modality, ...]) -> tuple[Modality, ...]:
        if len(set(value)) < len(value):
            raise ValueError("modalities must be named once each")
        return value

    @field_validator("normalise", mode="before")
    @classmethod
    def _one_way_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> ModelParams:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}")
        if not self.normalise or len(set(self.normalise)) < len(self.normalise):
            raise ValueError("normalise must name at least one way, each once")
        if len(set(self.speakers)) < len(self.speakers) or ("guessed" in self.normalise and not self.speakers):
            raise ValueError("speakers must name at least one number, each once")
        return self


class PretrainParams(Section):
    epochs: Annotated[int, Field(ge=0)] = 30
    """Passes over all clips; 0 leaves pretraining out."""
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Clips contrasted with each other; the held-out clips are ranked among each other."""
    batches: Literal["mixed", "speaker"] = "mixed"
    """Contrast any clips, or only clips of one speaker where these are known: then nothing is won by telling them
    apart."""
    learning_rate: Positive = 1e-3
    """AdamW's, falling to zero along a half cosine."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    """AdamW's."""
    objective: Literal["nt_xent", "supcon", "sigmoid"] = "nt_xent"
    """NT-Xent, SupCon with the clip as its class, or SigLIP's pairwise loss. None of them uses a label."""
    temperature: Positive = 0.1
    """Temperature of every term, or where it starts from."""
    learn_temperature: bool = True
    """Whether every term learns its own temperature."""
    inter_weight: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of the mean of the inter-modal terms."""
    noise_weight: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of the mean of the noise terms."""
    noise: Literal["gaussian", "impulse"] = "gaussian"
    """What noisy copies are mixed with, here and in self-training."""
    schedule: Literal["linear", "scaled_linear", "squared_cosine", "sigmoid"] = "linear"
    """How beta grows over the noise steps; squared_cosine has betas of its own."""
    noise_steps: Count = 100
    """Steps of the schedule; each clip's step is drawn anew every time."""
    beta_start: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.001
    """Noise variance added at the first step."""
    beta_end: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Noise variance added at the last step."""
    held_out: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    """Share of the clips, none of the test split, held out to measure cross-modal retrieval; 0 holds out none and never
    stops."""
    patience: Count = 10
    """Epochs without better retrieval on the held-out clips before the best weights are taken."""
    seed: Seed = 0
    """Seed of the initial weights, the order of the clips, the noise, the guessed speakers and the held-out share."""


class SelfTrainParams(Section):
    rounds: Annotated[int, Field(ge=0)] = 1
    """How often members are trained again on what the vote says of unlabeled clips, and Gaussians fitted to these; 0
    uses labels only."""
    views: Literal["all", "auto"] | tuple[str, ...] = "all"
    """Which views the experts look at: all; those that out-of-fold evidence keeps (auto); or a list of names."""
    transductive: bool = False
    """Learn from clips of the test split as from unlabeled ones: their features, never a label. Standardising and
    pretraining see the features of all clips either way."""
    gate: bool = True
    """Leave a round out where clips that its models never saw are predicted worse for it; of numbers, where they are
    not predicted better."""
    caution: Annotated[float, Field(ge=0.0)] = 1.0
    """How many standard errors of the deciding clips' log-likelihoods tell one from the other: a view, a way to
    standardise or a strength of the floor is taken over the safe choice when it is better by as many, and a round left
    out when it is worse by as many."""
    seeds: Count = 1
    """Members trained on each learning set, from other initial weights, batches and dropout."""
    steps: Count = 100
    """Optimiser steps of every member: the same for few labels as for many."""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Clips a step and member."""
    learning_rate: Positive = 1e-3
    """AdamW's for classifiers, falling to zero along a half cosine."""
    encoder_learning_rate: Annotated[float, Field(ge=0.0)] = 0.0
    """AdamW's for a copy of the encoders in each member; 0 freezes them, and all members share them."""
    families: tuple[Literal["linear", "mrccl", "mrccl-from-scratch", "gaussian"], ...] = (
        "linear",
        "mrccl",
        "gaussian",
    )
    """Experts beside the floor: members that are trained for each learning set, linear heads with dropout on the
    features, MR-CCL from the pretrained encoders, or from random ones; and Gaussian classes fitted to labeled and
    unlabeled clips together, from the first round of self-training on."""
    direct: bool = True
    """A linear layer from the features to the logits, beside the encoders; only where these are fine-tuned."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    """AdamW's."""
    oversampling: Fraction = 1.0
    """Exponent: 1 repeats clips until every class is as large as the largest, 0 repeats none."""
    logit_adjustment: Annotated[float, Field(ge=0.0)] = 0.0
    """Strength of logit adjustment, the alternative to oversampling: 1 is the published one, 0 is off."""
    targets: Literal["soft", "published", "precision"] = "soft"
    """What members learn of unlabeled clips: the vote's probabilities; or its class where it is sure enough, by fixed
    thresholds or, per class, the lowest that reaches `precision` on clips that the voters never saw."""
    unlabeled_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.8
    """Share of a batch that is unlabeled clips, where there are enough."""
    noisy: bool = True
    """Mix the unlabeled clips of a batch with the noise that pretraining uses."""
    least_signal: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """Of that noise, steps that leave less of the signal's variance are left out."""
    sharpening: Positive = 2.0
    """Soft targets are the vote's probabilities to this power, normalised."""
    agreement: Annotated[float, Field(ge=0.0)] = 0.0
    """Exponent: an unlabeled clip weighs as much as the share of the voting weight that names its class, to this
    power."""
    threshold: Fraction = 0.99
    """A pseudo-label needs this probability (`published`)."""
    low_threshold: Fraction = 0.85
    """The same for `low_classes`."""
    low_classes: tuple[str, ...] = ("worried", "surprise")
    """Classes that take `low_threshold`."""
    precision: Fraction = 0.9
    """Target share of right pseudo-labels per class (`precision`)."""
    voting: Literal["published", "equal", "learned"] = "learned"
    """Weights of the experts: 0.7, 0.4, 0.3 and 0.7 for the audio, face, text and fused heads, without the linear
    floor and the Gaussians; equal; or learned on clips that the experts never saw."""
    prior_clips: Annotated[float, Field(ge=0.0)] = 10.0
    """How many clips the weights count for that learned ones are drawn to: 1 for experts that see all modalities, and
    for Gaussians together as much as for all others."""
    unimodal_weight: Annotated[float, Field(ge=0.0)] = 0.25
    """The weight that experts of one modality are drawn to."""
    coverage: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    """Share of clips whose target is to lie within the interval that is predicted with it."""
    calibrate: bool = True
    """Fit how sure each expert, and the vote, may be on clips that they never saw; else they vote as they are."""
    posthoc_adjustment: Fraction | Literal["weighted_f1"] = "weighted_f1"
    """Post-hoc logit adjustment (Menon et al. 2021): the class that is chosen has the highest p / share^this, with the
    shares that calibration believes. 0 takes the most probable one, best for accuracy; 1 the one that is likelier than
    usual, best for balanced accuracy; weighted_f1 the exponent between that expects the highest weighted-F1 of the
    clips that decide and the unlabeled ones. Self-training's own Gaussians go by .5 then."""
    modality_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of a batch's modalities that training hides from members, so that they can do without; never all of a
    clip."""
    seed: Seed = 0
    """Seed of every member's initial weights, batches, dropout and noise."""

    @field_validator("views")
    @classmethod
    def _some_views(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not value or (not isinstance(value, str) and len(set(value)) < len(value)):
            raise ValueError("views must be all, auto, or name at least one, each once")
        return value


class EvaluateParams(Section):
    bootstrap: Annotated[int, Field(ge=100)] = 2000
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    seed: Seed = 0
