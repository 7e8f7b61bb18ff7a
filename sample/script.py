"""What each clip says, shows and feels: labels, splits, speakers, and where the modalities disagree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sample.forms import FORMS, Expression
from sample.params import CorpusParams, FaceKnobs, VoiceKnobs
from sample.sentences import Sentence, draw_sentence

SPLITS = ("labeled", "unlabeled", "test")

# What a modality expresses when it does not agree with the label. Faces and words are mistaken within a
# valence, voices within an arousal, so that the modalities err differently and fusing them pays.
FACE_CONFUSIONS: dict[str, dict[str, float]] = {
    "neutral": {"sad": 3, "happy": 3, "angry": 2, "worried": 2},
    "angry": {"neutral": 4, "worried": 3, "sad": 3},
    "happy": {"neutral": 6, "surprise": 2, "worried": 1, "sad": 1},
    "sad": {"neutral": 4, "worried": 4, "angry": 2},
    "worried": {"neutral": 3, "sad": 4, "surprise": 2, "angry": 1},
    "surprise": {"neutral": 3, "happy": 4, "worried": 3},
}
VOICE_CONFUSIONS: dict[str, dict[str, float]] = {
    "neutral": {"sad": 3, "worried": 3, "happy": 2, "angry": 2},
    "angry": {"happy": 4, "neutral": 3, "surprise": 2, "worried": 1},
    "happy": {"angry": 3, "neutral": 4, "surprise": 3},
    "sad": {"neutral": 6, "worried": 4},
    "worried": {"sad": 3, "neutral": 5, "angry": 2},
    "surprise": {"happy": 6, "angry": 4},
}
TEXT_CONFUSIONS: dict[str, dict[str, float]] = {
    "neutral": {"worried": 3, "happy": 3, "angry": 2, "sad": 2},
    "angry": {"neutral": 4, "sad": 3, "surprise": 2, "worried": 1},
    "happy": {"neutral": 6, "surprise": 3, "sad": 1},
    "sad": {"neutral": 4, "worried": 3, "angry": 3},
    "worried": {"neutral": 4, "sad": 4, "angry": 2},
    "surprise": {"happy": 4, "worried": 3, "neutral": 3},
}
VALENCE = {"neutral": 0.0, "angry": -2.8, "happy": 3.0, "sad": -2.6, "worried": -1.6, "surprise": 0.6}


@dataclass(frozen=True)
class ClipScript:
    """One clip before it is rendered. `face` and `voice` are None where absent."""

    name: str
    number: int
    split: str
    label: str
    valence: float
    speaker: int
    face: Expression | None
    voice: Expression | None
    sentence: Sentence
    has_text: bool


def write_script(params: CorpusParams) -> list[ClipScript]:
    """Draw the whole corpus; clips come in the order of their names, which tell neither class nor split."""
    rng = np.random.default_rng([params.seed, 0])
    roles = [
        (split, label)
        for split in SPLITS
        for label, count in _stratify(params.class_counts, getattr(params, split)).items()
        for _ in range(count)
    ]
    order = rng.permutation(len(roles))
    return [_draw_clip(params, number, *roles[i]) for number, i in enumerate(order, start=1)]


def clip_rng(params: CorpusParams, number: int, purpose: int) -> np.random.Generator:
    """The random stream of one purpose in one clip: the same whatever else is drawn."""
    return np.random.default_rng([params.seed, number, purpose])


def _draw_clip(params: CorpusParams, number: int, split: str, label: str) -> ClipScript:
    rng = clip_rng(params, number, 0)
    form = str(rng.choice(FORMS[label]))
    said = _confused(rng, form, label, params.text.agreement, TEXT_CONFUSIONS)
    ambiguous = rng.random() < params.text.ambiguous
    return ClipScript(
        name=f"sample_{number:08d}",
        number=number,
        split=split,
        label=label,
        valence=round(float(np.clip(VALENCE[label] + rng.normal(0, 0.8), -5, 5)), 1),
        speaker=int(rng.integers(params.speakers)),
        face=_express(rng, form, label, params.face, FACE_CONFUSIONS),
        voice=_express(rng, form, label, params.voice, VOICE_CONFUSIONS),
        sentence=draw_sentence(rng, None if ambiguous else said),
        has_text=bool(rng.random() >= params.text.absent),
    )


def _express(
    rng: np.random.Generator,
    form: str,
    label: str,
    knobs: FaceKnobs | VoiceKnobs,
    confusions: Mapping[str, Mapping[str, float]],
) -> Expression | None:
    """What a modality shows of the form, clearly or faintly; independent of the others, so that where one is faint
    another is mostly clear."""
    if rng.random() < knobs.absent:
        return None
    shown = _confused(rng, form, label, knobs.agreement, confusions)
    return Expression(shown, float(rng.uniform(*(knobs.strength if rng.random() < knobs.clear else knobs.faint))))


def _confused(
    rng: np.random.Generator, form: str, label: str, agreement: float, confusions: Mapping[str, Mapping[str, float]]
) -> str:
    """The form itself, or with probability 1 - `agreement` a form of a class that its class is mistaken for."""
    if rng.random() < agreement:
        return form
    others, weights = zip(*confusions[label].items(), strict=True)
    return str(rng.choice(FORMS[str(rng.choice(others, p=np.array(weights) / sum(weights)))]))


def _stratify(class_counts: Mapping[str, int], total: int) -> dict[str, int]:
    """Share `total` clips in the ratios of `class_counts`, at least one a class (largest remainder method)."""
    weights = np.array(list(class_counts.values()), float)
    ideal = weights / weights.sum() * total
    shares = np.maximum(np.floor(ideal).astype(int), 1)
    while shares.sum() != total:
        step = int(np.sign(total - shares.sum()))
        shares[np.argmax(step * (ideal - shares))] += step
    return dict(zip(class_counts, shares.tolist(), strict=True))
