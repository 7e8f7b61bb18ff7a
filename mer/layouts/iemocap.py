"""IEMOCAP (Busso et al., Language Resources and Evaluation 2008), the full release unpacked.

Session1/dialog/EmoEvaluation/<dialog>.txt       [start - end] TAB turn TAB label TAB [V, A, D]; and more
Session1/sentences/wav/<dialog>/<turn>.wav       the turn's sound
Session1/dialog/avi/DivX/<dialog>.avi            both actors side by side, from beginning to end
Session1/dialog/transcriptions/<dialog>.txt      turn [start-end]: text

The sessions lie in `corpus.root` or one folder below. A turn is a part of its dialogue's video, cut to the half in
which its speaker sits, with the sound of its own file. The group is the speaker, the fold the session. The label map is
`iemocap-4` (excited joins happy) where params have none; `iemocap-6` is shipped, too. Targets: valence, arousal and
dominance, from 1 to 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mer.errors import MerError
from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import media_files, normalise, stem
from mer.layouts.labels import Naming
from mer.layouts.notes import Notes
from mer.layouts.text import lines_of, read_text
from mer.params import CorpusParams

NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
TURN = re.compile(rf"\[{NUMBER}-{NUMBER}\]\s+(Ses\w+)\s+(\w+)\s+\[{NUMBER},{NUMBER},{NUMBER}\]")
SAID = re.compile(r"(Ses\w+?)\s*(?:\[\s*[\d.]+\s*-\s*[\d.]+\s*\])?\s*:\s*(.*)")
NAME = re.compile(r"(Ses\d\d)([FM])_\w+_([FM])\w*")
SPELLED = {
    "neu": "neutral",
    "hap": "happy",
    "exc": "excited",
    "ang": "angry",
    "sad": "sad",
    "fru": "frustrated",
    "fea": "fearful",
    "sur": "surprised",
    "dis": "disgusted",
    "oth": "other",
}
NAMING = Naming(spelled=SPELLED, label_map="iemocap-4")
TARGETS = ("valence", "arousal", "dominance")


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read IEMOCAP; its transcripts are English, so `prefer` has nothing to choose from.

    Raises:
        MerError: there is no session, or none has evaluations.
    """
    root = Path(params.root)
    notes = Notes()
    clips = [clip for session in sessions(root) for clip in _session(root, session, params, notes)]
    if not clips and not notes.found:
        raise MerError(f"{root}: no turn is in Session*/dialog/EmoEvaluation/*.txt")
    return make_corpus(clips, params, NAMING, notes)


def sessions(root: Path) -> list[Path]:
    """Folders of the sessions, in `root` or one folder below.

    Raises:
        MerError: there is none.
    """
    for pattern in ("Session[0-9]*", "*/Session[0-9]*"):
        found = sorted(path for path in root.glob(pattern) if (path / "dialog").is_dir())
        if found:
            return found
    raise MerError(f"{root}: no folder Session1 with a folder 'dialog' in it")


def _session(root: Path, session: Path, params: CorpusParams, notes: Notes) -> Iterator[Clip]:
    sounds = _files(root, session / "sentences/wav")
    videos = _files(root, session / "dialog/avi/DivX")
    seen: dict[str, str] = {}
    for file in _texts(session / "dialog/EmoEvaluation"):
        transcripts = _transcripts(session / "dialog/transcriptions" / file.name, params, notes)
        for where, turn in _turns(file, params, notes):
            name = turn[3]
            if name in seen:
                notes.add("duplicated", f"{name} in {where}, as in {seen[name]}")
                continue
            seen[name] = where
            clip = _clip(turn, where, session.name, videos.get(file.stem), sounds.get(name))
            if clip is None:
                notes.add("missing", name)
                continue
            yield {**clip, "transcript": transcripts.get(name)}
    for name in sorted(sounds.keys() - seen.keys()):
        notes.add("extra", sounds[name])


def _files(root: Path, folder: Path) -> dict[str, str]:
    """Media files below a folder by their names; none where there is no such folder."""
    if not folder.is_dir():
        return {}
    return {stem(path): path for path in media_files(root, folder.relative_to(root).as_posix(), recursive=True)}


def _texts(folder: Path) -> list[Path]:
    """The text files of a folder itself; a Mac leaves hidden ones beside them."""
    return sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))


def _turns(file: Path, params: CorpusParams, notes: Notes) -> Iterator[tuple[str, re.Match[str]]]:
    """Each turn of an evaluation with the file and line where it stands."""
    for number, line in enumerate(lines_of(read_text(file, params.encoding)), 1):
        if not line.lstrip().startswith("["):
            continue
        where = f"{file} line {number}"
        turn = TURN.match(line.strip())
        if turn is None or NAME.fullmatch(turn[3]) is None:
            notes.add("unclear", where)
        elif float(turn[2]) <= float(turn[1]):
            raise MerError(f"{where}: turn {turn[3]} ends at {turn[2]} s, where it starts at {turn[1]} s")
        else:
            yield where, turn


def _clip(turn: re.Match[str], where: str, session: str, video: str | None, sound: str | None) -> Clip | None:
    """The clip of a turn; None where neither its video nor its sound is there."""
    if video is None and sound is None:
        return None
    start, end, name, label = float(turn[1]), float(turn[2]), turn[3], turn[4]
    clip: Clip = {
        "clip_id": name,
        "path": video or sound or "",
        "split": "labeled",
        "label": label,
        "where": where,
        "group": speaker(name),
        "fold": session,
        "targets": {target: float(turn[5 + at]) for at, target in enumerate(TARGETS)},
    }
    if video is not None:
        clip |= {"start": start, "end": end, "crop": side(name), "sound": sound}
    return clip


def side(turn: str) -> str:
    """The half in which a turn's speaker sits: the left one is whom the dialogue is named after."""
    known = NAME.fullmatch(turn)
    assert known is not None
    return "left" if known[2] == known[3] else "right"


def speaker(turn: str) -> str | None:
    """Who speaks in a turn of that name: the woman or the man of the session."""
    known = NAME.fullmatch(turn)
    return known[1] + known[3] if known else None


def _transcripts(file: Path, params: CorpusParams, notes: Notes) -> Mapping[str, str]:
    """What is said in each turn; lines of other forms are noted."""
    said: dict[str, str] = {}
    if not file.is_file():
        return said
    for number, line in enumerate(lines_of(read_text(file, params.encoding)), 1):
        known = SAID.fullmatch(line.strip())
        if known is not None:
            said[known[1]] = normalise(known[2])
        elif line.strip():
            notes.add("unclear", f"{file} line {number}")
    return said
