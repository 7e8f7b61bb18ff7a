"""Which layout a folder has, by what lies there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from mer.errors import MerError
from mer.layouts import audformat, crema_d, emobox, emodb, iemocap, mertools, mmsa, mmsa_features, ravdess
from mer.layouts.files import find, stem
from mer.layouts.rows import Rows, read_rows
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
    below = folders(root)[:50] if root.is_dir() else []
    for place in (*below, *_inside(below), root.resolve().parent):
        with suppress(MerError, OSError):
            for found, seen in _matches(place, params):
                if layout is None or found == layout:
                    return f"; {place} is one of {found} ({seen}): is it the one to name in corpus.root?"
                break
    return ""


def folders(root: Path) -> list[Path]:
    """The folders in a folder, less hidden ones and what a Mac packs beside them."""
    return sorted(path for path in root.glob("*/") if not path.name.startswith((".", "__MACOSX")))


def _inside(level: Sequence[Path]) -> Iterator[Path]:
    """Of a folder that is alone, the folders in it, as deep as they are alone, too: archives pack what they name."""
    for _ in range(DEEPEST):
        if len(level) != 1:
            break
        level = folders(level[0])[:50]
        yield from level


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
    seen = _named(crema_d.NAME, "CREMA-D's")(root, params)
    return " and ".join(folders) or seen if seen else None


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
    raw = [path for path in mmsa.tables(root) if mmsa.raw_folder(path)]
    if not raw:
        return None
    table = read_rows(raw[0], encoding=params.encoding)  # beside Raw it is MMSA's: what is wrong with it is to be told
    if not all(map(table.has, mmsa.KEYS)):
        return None
    seen = f"{', '.join(str(path.relative_to(root)) for path in raw)} beside Raw"
    each = any(row["label_T"] for row in table.rows[:100])
    two = len(raw) > 1 or any(mmsa.UNLABELED.search(str(path.relative_to(root))) for path in raw)
    place = f"{root.name}/{raw[0].parent.name}".casefold()
    if each or two:  # a score of each modality
        return ("ch-sims-v2" if two or "v2" in place or len(table.rows) > SIMS else "ch-sims"), seen
    found = _mosi_or_mosei(place, table)
    if found is None:
        raise MerError(
            f"corpus.layout auto: {raw[0]} may be mosi or mosei, neither its folder, its size nor its columns tell; "
            "name it in corpus.layout (both are read alike)"
        )
    return found, seen


SIMS, MOSI = 2_281, 2_199
"""Clips of CH-SIMS and of MOSI: a larger table is that of CH-SIMS v2, or of MOSEI."""


def _mosi_or_mosei(place: str, table: Rows) -> str | None:
    """By what the folder is called, else the size, else the order of MMSA's columns: its file of MOSEI has the scores
    of one modality behind the class, that of MOSI before it. None where nothing tells, or name and size disagree."""
    named = [name for name in ("mosi", "mosei") if name in place]
    large = len(table.rows) > MOSI
    if len(named) == 1:
        return None if named == ["mosi"] and large else named[0]
    columns = [name.casefold() for name in table.columns]
    if large or not {"annotation", "label_t"} <= set(columns):
        return "mosei" if large else None
    return "mosei" if columns.index("annotation") < columns.index("label_t") else "mosi"


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
