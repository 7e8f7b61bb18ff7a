"""The timelines of several films to files; films that an ended run was through with are not predicted again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from mer.errors import ClipError
from mer.prediction.finished import Finished
from mer.prediction.many import identity
from mer.prediction.naming import names_of, notes_of, varies
from mer.prediction.predictor import Predictor
from mer.prediction.source import Source
from mer.prediction.tiers import form_of, write
from mer.prediction.timeline import SMOOTHING, Utterance, timeline
from mer.prediction.utterances import Cutting


def timelines_to_files(
    predictor: Predictor,
    sources: Sequence[Source],
    outs: Sequence[Path],
    cutting: Cutting = Cutting(),
    smoothing: float = SMOOTHING,
) -> Iterator[tuple[Source, list[Utterance] | ClipError | None]]:
    """Write each film's timeline in several forms; gives it, why there is none, or None where an earlier run wrote it.

    Where the names vary, finished films are noted in a file in their folder: see `mer.prediction.naming`. A film is
    finished for the same bundle, options and names, until it changes or what was written goes; what people wrote into
    the subtitles since is theirs and stays. One at which the machine failed in places is written, and not finished.

    Raises:
        MerError: an ending names no form, or a name is no good; see `mer.prediction.naming.names_of`.
    """
    for out in outs:
        form_of(out)
    names = names_of(outs, sources)
    made = "timeline", identity(predictor.folder), cutting.window, smoothing, [str(out) for out in outs]
    with ExitStack() as stack:
        varying = [out for out in outs if varies(out)]
        finished = stack.enter_context(Finished(notes_of(varying[0]), *made)) if varying else None
        for source, paths in zip(sources, names, strict=True):
            if finished is not None and finished.what(source) and all(path.exists() for path in paths):
                yield source, None
                continue
            try:
                found = timeline(predictor, source, cutting, smoothing)
            except ClipError as error:
                yield source, error
                continue
            for path in paths:
                write(path, found, source.path)
            if finished is not None and not any(one.prediction.transient for one in found):
                finished.add(source, True)
            yield source, found
