"""What a file has and its record lacks, or what had to be guessed: one note each, for the quarantine table."""

from __future__ import annotations

from dataclasses import dataclass, field

KINDS = {
    "no_sound": "the file has a sound stream that gave no samples",
    "damaged_sound": "parts of the sound did not decode",
    "short_sound": "the sound ends well before the length that the file declares",
    "silent_sound": "the sound stream holds digital silence",
    "cancelled_mix": "the channels cancel each other, so that the mono mix is silent or nearly so",
    "broken_samples": "samples are infinite or no numbers; they count as silence",
    "several_audio_tracks": "one of several sound streams was taken",
    "audio_track_missing": "the file lacks the track that decode.audio_track asks for",
    "no_frames": "the file has a video stream that gave no frame",
    "few_frames": "the video gave fewer frames than decode.frames asks for",
    "damaged_frames": "frames were decoded from damaged data",
    "flat_frames": "some frames are of one flat colour, others are not",
    "short_video": "the video ends well before the length that the file declares",
    "several_video_tracks": "one of several video streams was taken",
    "guessed_times": "frames have no time stamps; a frame rate was assumed",
    "tilted_frames": "the frames are to be shown at an angle that is no quarter turn",
    "truncated": "the file breaks off or is damaged: what follows was not read",
}
"""Every kind of note and what it says."""


@dataclass(frozen=True)
class Note:
    """One warning about a clip that was decoded all the same: a name of `KINDS`, and a line for people."""

    error: str
    message: str

    def __post_init__(self) -> None:
        if self.error not in KINDS:
            raise ValueError(f"unknown kind of note: {self.error!r}")


@dataclass
class Notebook:
    """Collects notes while a clip is decoded; each kind at most once, the first is kept."""

    notes: list[Note] = field(default_factory=list)

    def add(self, error: str, message: str) -> None:
        if all(note.error != error for note in self.notes):
            self.notes.append(Note(error, message))
