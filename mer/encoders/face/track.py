"""Which of the faces of a clip is the speaker: link detections over time, then weigh the tracks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mer.encoders.face.detection import Box, Detection

Track = dict[int, Detection]
"""A face over time: frame index -> where it is."""

LEAST_OVERLAP = 0.4
"""Overlap that links two detections, see `overlap`: the face moved by less than 0.86 of its width."""
CENTRE_SPREAD = 0.5
"""Distance from the centre, in halves of the frame's diagonal, at which a face weighs exp(-1/2)."""


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes after doubling each around its centre.

    Frames are sampled a good part of a second apart, so a face that leans aside may leave its old box; doubled,
    the boxes of one face still meet, while a neighbour's face is at least a face's width away.
    """
    a, b = _doubled(first), _doubled(second)
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared
    return float(shared / union) if union > 0 else 0.0


def link(frames: Sequence[Sequence[Detection]]) -> list[Track]:
    """Tracks through the detections of successive frames, best overlaps first; a face that left may come back."""
    tracks: list[Track] = []
    for index, detections in enumerate(frames):
        pairs = [
            (overlap(track[max(track)].box, detection.box), -which, -number)
            for which, track in enumerate(tracks)
            for number, detection in enumerate(detections)
        ]
        free_tracks, free = set(range(len(tracks))), set(range(len(detections)))
        for value, which, number in sorted(pairs, reverse=True):
            if value >= LEAST_OVERLAP and -which in free_tracks and -number in free:
                tracks[-which][index] = detections[-number]
                free_tracks.remove(-which)
                free.remove(-number)
        tracks.extend({index: detections[number]} for number in sorted(free))
    return tracks


def choose(tracks: Sequence[Track], height: int, width: int) -> Track:
    """The main face: the track whose detections, summed over time, are largest and most central; {} of none."""
    return max(tracks, key=lambda track: sum(prominence(d.box, height, width) for d in track.values()), default={})


def prominence(box: Box, height: int, width: int) -> float:
    """Size of a face relative to the frame, discounted by a Gaussian of its distance from the centre."""
    size = np.sqrt((box[2:] - box[:2]).prod() / (height * width))
    offset = (box[:2] + box[2:]) / 2 - np.array([width, height]) / 2
    distance = np.hypot(*offset) / (np.hypot(height, width) / 2)
    return float(size * np.exp(-0.5 * (distance / CENTRE_SPREAD) ** 2))


def _doubled(box: Box) -> Box:
    half = (box[2:] - box[:2]) / 2
    return np.concatenate([box[:2] - half, box[2:] + half])
