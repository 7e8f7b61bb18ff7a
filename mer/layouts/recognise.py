"""Which layout a folder has, by what lies there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from mer.errors import MerError
from mer.layouts import audformat, crema_d, emobox, emodb, iemocap, mertools, mmsa, mmsa_features, ravdess
from mer.layouts.files import find, stem
from mer.layouts.rows import read_rows
from mer.media.formats import MEDIA_SUFFIXES
from mer.params import CorpusParams

DEEPEST = 6
MOST = 2_000
"""Names looked at below a folder: the first of a corpus tell as much as all of them."""
SHARE = 0.5
"""Of the media files that must have the names of a corpus."""
MEAD = re.compile(r"[MW]\d{3}")

Sign = Callable[[Path, CorpusParams], str | None]
"""What is seen in a folder of the layout that it has; None where it has another."""


def recognise(root: Path, params: CorpusParams) -> tuple[str, str]:
    """Name of the layout of a folder, and what it was recognised by.

    Raises:
        MerError: it is none that is known; the line says what lies there, and whether a folder above or below is.
    """
    for layout, seen in _matches(root, params):
        return layout, seen
    names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    here = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"
    raise MerError(f"corpus.layout auto: {root} is in no layout that is known (there lies: {here}){hint(root, params)}")


def hint(root: Path, params: CorpusParams, layout: str | None = None) -> str:
    """The folder that was meant, perhaps: one above or below that is recognised (as `layout`, where that is given)."""
    below = sorted(path for path in root.glob("*/") if not path.name.startswith("."))[:50] if root.is_dir() else []
    for place in (*below, root.resolve().parent):
        with suppress(MerError, OSError):
            for found, seen in _matches(place, params):
                if layout is None or found == layout:
                    return f"; {place} is one of {found} ({seen}): is it the one to name in corpus.root?"
                break
    return ""


def _matches(root: Path, params: CorpusParams) -> Iterator[tuple[str, str]]:
    for layout, sign in SIGNS.items():
        with suppress(OSError):
            if (seen := sign(root, params)) is not None:
                yield layout, seen


def _has(*names: str) -> Sign:
    """All of these files or folders, in the folder or one below."""

    def sign(root: Path, params: CorpusParams) -> str | None:
        found = [find(root, name) for name in names]
        return " and ".join(map(str, found)) if all(found) else None

    return sign


def _has_here(*names: str) -> Sign:
    """All of these files or folders, in the folder itself."""
    return lambda root, params: " and ".join(names) if all((root / name).exists() for name in names) else None


def _iemocap(root: Path, params: CorpusParams) -> str | None:
    with suppress(MerError):
        found = [path for path in iemocap.sessions(root) if (path / "dialog/EmoEvaluation").is_dir()]
        return f"dialog/EmoEvaluation in {len(found)} sessions" if found else None
    return None


def _named(pattern: re.Pattern[str], example: str) -> Sign:
    """Most of the media files have the names of a corpus."""

    def sign(root: Path, params: CorpusParams) -> str | None:
        names = [stem(path) for path in _some_media(root)]
        fitting = [name for name in names if pattern.fullmatch(name)]
        if not fitting or len(fitting) < SHARE * len(names):
            return None
        return f"names like {fitting[0]} ({example}) of {len(fitting)} of the first {len(names)} media files"

    return sign


def _some_media(root: Path) -> Iterator[str]:
    """Names of the first media files, a few levels deep."""
    left = MOST
    level = [root]
    for _ in range(DEEPEST):
        below: list[Path] = []
        for folder in level[:200]:
            for path in sorted(folder.iterdir()):
                if path.name.startswith("."):
                    continue
                if path.suffix.lower() in MEDIA_SUFFIXES:
                    yield path.name
                    left -= 1
                    if not left:
                        return
                elif path.is_dir() and not path.is_symlink():
                    below.append(path)
        level = below


def _crema_d(root: Path, params: CorpusParams) -> str | None:
    folders = [where for name in crema_d.FOLDERS if (where := find(root, name))]
    return " and ".join(folders) if folders and _named(crema_d.NAME, "CREMA-D's")(root, params) else None


def _mead(root: Path, params: CorpusParams) -> str | None:
    for place in (root, *sorted(root.glob("*/"))):
        found = [
            path.name
            for path in sorted(place.glob("*/"))
            if MEAD.fullmatch(path.name) and ((path / "video").is_dir() or (path / "audio").is_dir())
        ]
        if found:
            return f"speakers with video and audio: {', '.join(found[:3])}"
    return None


def _emobox(root: Path, params: CorpusParams) -> str | None:
    found = emobox.lists(root)
    return f"folds of lists in {', '.join(place.name for place in found[:3])}" if found else None


def _audformat(root: Path, params: CorpusParams) -> str | None:
    with suppress(MerError):
        header = audformat.find_header(root)
        return header.name if header else None
    return None


def _mmsa(layout: str) -> Sign:
    """MMSA's tables; which corpus it is shows by its scores and its size."""

    def sign(root: Path, params: CorpusParams) -> str | None:
        return seen if (found := _mmsa_kind(root, params)) and (seen := found[1]) and found[0] == layout else None

    return sign


def _mmsa_kind(root: Path, params: CorpusParams) -> tuple[str, str] | None:
    found = mmsa.tables(root)
    raw = [path for path in found if any((path.parent / name).is_dir() for name in mmsa.RAW)]
    if not raw:
        return None
    with suppress(MerError):
        table = read_rows(raw[0], encoding=params.encoding)
        if not all(map(table.has, mmsa.KEYS)):
            return None
        seen = f"{', '.join(str(path.relative_to(root)) for path in raw)} beside Raw"
        each = any(row["label_T"] for row in table.rows[:100])
        two = len(raw) > 1 or any(mmsa.UNLABELED.search(str(path.relative_to(root))) for path in raw)
        place = f"{root.name}{raw[0].parent.name}".casefold()
        v2 = two or "v2" in place
        if each or two:  # a score of each modality
            return ("ch-sims-v2" if v2 else "ch-sims"), seen
        named = next(
            (name for name in ("mosei", "mosi") if name in f"{root.name}{raw[0].parent.name}".casefold()), None
        )
        # MMSA's own file of MOSEI has the scores of one modality last, that of MOSI before the class.
        large = len(table.rows) > 5_000 or table.columns[-1].casefold() == "label_v"
        return named or ("mosei" if large else "mosi"), seen
    return None


def _mertools(root: Path, params: CorpusParams) -> str | None:
    found = mertools.feature_folders(root)
    return f"features of {', '.join(path.name for path in found[:3])}" if found else None


def _mmsa_features(root: Path, params: CorpusParams) -> str | None:
    with suppress(MerError):
        found = mmsa_features.find_file(root, params)
        return found.name if found.is_file() else None
    return None


def _folder(root: Path, params: CorpusParams) -> str | None:
    return params.labels if (root / params.labels).is_file() else None


SIGNS: dict[str, Sign] = {
    "meld": _has("train_sent_emo.csv"),
    "mer2023": _has("train-label.csv", "train"),
    "mer2024": _has_here("label-disdim.csv", "video-labeled"),
    "mer2025": _has_here("track1_train_disdim.csv", "video"),
    "mer2026": _has_here("track1_train.csv", "video"),
    "iemocap": _iemocap,
    "ch-sims": _mmsa("ch-sims"),
    "ch-sims-v2": _mmsa("ch-sims-v2"),
    "mosi": _mmsa("mosi"),
    "mosei": _mmsa("mosei"),
    "emobox": _emobox,
    "audformat": _audformat,
    "mertools": _mertools,
    "folder": _folder,
    "crema-d": _crema_d,
    "mead": _mead,
    "ravdess": _named(ravdess.NAME, "RAVDESS'"),
    "emodb": _named(emodb.NAME, "EmoDB's"),
    "mmsa": _mmsa_features,
}
"""In the order in which they are looked for: tables say more than names."""
