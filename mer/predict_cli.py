"""`mer predict`: a trained bundle on new files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mer.errors import MerError
from mer.running.console import speaks_unicode

if TYPE_CHECKING:
    from mer.errors import ClipError
    from mer.prediction.answer import Prediction
    from mer.prediction.faces import Face
    from mer.prediction.predictor import Predictor
    from mer.prediction.source import Source
    from mer.prediction.timeline import Utterance

Weights = Annotated[
    list[str] | None,
    typer.Option(help="Where encoders lie now: the name of a view, detector= or asr=, and a path; repeatable"),
]
"""The option of every command that encodes clips; read by `weights_of`."""

TIMELINE_ONLY = {"window": "cuts a film into a timeline", "smooth": "smooths a timeline"}
"""Options that go with --timeline alone, and why."""
CLIPS_ONLY = {
    "transcript": "says nothing of a film's utterances",
    "faces": "tells of the faces of clips",
    "workers": "shares clips among processes, and a film is read by one",
}
"""Options that --timeline goes without, and why."""
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def predict(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(help="Video or audio files, folders, patterns, CSV lists (file, group, transcript), or - "),
    ],
    bundle: Annotated[Path, typer.Option(help="Trained bundle")] = Path("data/models/bundle"),
    transcript: Annotated[str, typer.Option(help="What is said, where it is known; goes with a single file")] = "",
    group: Annotated[str | None, typer.Option(help="Speaker or session of all files that have no other")] = None,
    groups: Annotated[
        Path | None, typer.Option(help="CSV file (file, group, transcript) of files that are named otherwise")
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            help="Table to write, or to go on with: .csv, .jsonl or .parquet; of a timeline also .srt, .vtt, .eaf and "
            ".TextGrid, and then repeatable"
        ),
    ] = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Cut a film of any length where somebody speaks; a row an utterance")
    ] = False,
    window: Annotated[
        float | None, typer.Option(help="With --timeline: cut into windows of so many seconds instead")
    ] = None,
    smooth: Annotated[
        float,
        typer.Option(min=0, max=3600, help="With --timeline: seconds to smooth it over; 0 smooths nothing"),
    ] = 5.0,
    faces: Annotated[
        str | None, typer.Option(help="`all`: a row for every face of a clip, with boxes, times and who speaks")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a file")] = False,
    workers: Annotated[int, typer.Option(min=0, max=1024, help="Processes that share clips; 0 means one a core")] = 0,
    weights: Weights = None,
) -> None:
    """Predict the emotion of new clips with a trained bundle."""
    _check_options(context, timeline=timeline, faces=faces)
    from mer.prediction.predictor import Predictor
    from mer.prediction.sources import sources_of

    predictor = Predictor(bundle, weights_of(weights))
    with sources_of(files, groups, group) as sources:
        if transcript:
            sources = [_said(sources, transcript)]
        _warn(predictor, sources)
        if faces is not None:
            status = _faces(predictor, sources, _only(out), as_json)
        elif timeline:
            _tell_unused(sources)
            status = _timelines(predictor, sources, out or [], as_json, window, smooth)
        else:
            status = _clips(predictor, sources, _only(out), as_json, workers)
    raise typer.Exit(status)


def _check_options(context: typer.Context, *, timeline: bool, faces: str | None) -> None:
    """Refuse options that would say nothing here."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    for name in given:
        if name in TIMELINE_ONLY and not timeline:
            raise MerError(f"--{name}: {TIMELINE_ONLY[name]}; it goes with --timeline")
        if name in CLIPS_ONLY and timeline:
            raise MerError(f"--{name}: {CLIPS_ONLY[name]}; it goes without --timeline")
    if faces is not None and faces != "all":
        raise MerError(f"--faces {faces}: `all` is what it takes")
    if faces is not None and "workers" in given:
        raise MerError("--workers: faces are looked at in one process; it goes without --faces")


def _clips(predictor: Predictor, sources: Sequence[Source], out: Path | None, as_json: bool, workers: int) -> int:
    """Print a row each, or write a table; the exit status."""
    predictor.ready()
    done = failed = again = 0
    try:
        for one in _predictions(predictor, sources, out, workers):
            done, failed, again = done + 1, failed + (one.error is not None), again + one.transient
            if out is None:
                _tell(one, as_json)
    except KeyboardInterrupt:
        return _interrupted(out)
    if out is not None:
        print(f"{out}: {len(sources)} files, {done} predicted now, {failed} of these failed")
    _again(again, "files")
    return 1 if failed else 0


def _again(number: int, things: str) -> None:
    """Say how many lack something for which they are not to blame."""
    if number:
        print(f"{number} {things} met a fault of the machine or a limit: run again to do them anew", file=sys.stderr)


def weights_of(options: Sequence[str] | None) -> dict[str, str]:
    """`name=path` of each option.

    Raises:
        MerError: one is no such pair.
    """
    found = {}
    for option in options or ():
        name, equals, path = option.partition("=")
        if not equals or not path:
            raise MerError(f"--weights {option}: expected a name, '=' and a path, such as audio=/models/hubert")
        found[name] = path
    return found


def _faces(predictor: Predictor, sources: Sequence[Source], out: Path | None, as_json: bool) -> int:
    """Print or write a row for every face of each clip; the exit status."""
    from mer.errors import ClipError
    from mer.prediction.face_table import faces_to_table
    from mer.prediction.faces import predict_faces

    predictor.ready()
    found = (
        _tried(sources, partial(predict_faces, predictor)) if out is None else faces_to_table(predictor, sources, out)
    )
    status = 0
    try:
        for source, faces in found:
            if isinstance(faces, ClipError):
                status = _told(source, faces)
            elif not faces:
                print(f"{source.path}: no face", file=sys.stderr)
            elif not isinstance(faces, int):
                _print(faces, as_json)
    except KeyboardInterrupt:
        return _interrupted(out)
    return status


def _only(out: Sequence[Path] | None) -> Path | None:
    if out and len(out) > 1:
        raise MerError("--out: one table; several go with --timeline")
    return out[0] if out else None


def _timelines(
    predictor: Predictor,
    sources: Sequence[Source],
    outs: Sequence[Path],
    as_json: bool,
    window: float | None,
    smooth: float,
) -> int:
    """Print or write the timeline of each film; the exit status."""
    from mer.errors import ClipError
    from mer.prediction.films import timelines_to_files
    from mer.prediction.utterances import Cutting

    status = kept = 0
    try:
        for source, found in timelines_to_files(predictor, sources, outs, Cutting(window=window), smooth):
            if isinstance(found, ClipError):
                status = _told(source, found)
            elif found is None:
                kept += 1
            else:
                if not outs:
                    _print(found, as_json)
                spoken = sum(one.end - one.start for one in found)
                print(f"{source.path}: {len(found)} utterances, {spoken:.1f} s of speech", file=sys.stderr)
                _again(sum(one.prediction.transient for one in found), "utterances")
    except KeyboardInterrupt:
        return _interrupted(outs[0] if len(sources) > 1 and outs else None)
    if kept:
        print(f"{kept} of {len(sources)} films were finished by an earlier run and stay as they are", file=sys.stderr)
    return status


def _tried(
    sources: Sequence[Source], work: Callable[[Source], list[Face]]
) -> Iterator[tuple[Source, list[Face] | ClipError]]:
    from mer.errors import ClipError

    for source in sources:
        try:
            yield source, work(source)
        except ClipError as error:
            yield source, error


def _told(source: Source, error: ClipError) -> int:
    print(f"{source.path}: {error}", file=sys.stderr)
    return 1


def _print(rows: Sequence[Face] | Sequence[Utterance], as_json: bool) -> None:
    for one in rows:
        print(json.dumps(one.as_dict(), ensure_ascii=not speaks_unicode()) if as_json else one, flush=True)


def _interrupted(out: Path | None) -> int:
    kept = f"what is done is kept for {out}: run again to go on" if out else "what is done is printed"
    print(f"interrupted: {kept}", file=sys.stderr)
    return INTERRUPTED


def _said(sources: Sequence[Source], transcript: str) -> Source:
    from dataclasses import replace

    if len(sources) != 1:
        raise MerError("--transcript goes with a single file; several have theirs in a CSV list (file, transcript)")
    return replace(sources[0], transcript=transcript)


def _tell_unused(sources: Sequence[Source]) -> None:
    """That lists give transcripts of whole films, which are not used."""
    given = sum(bool(source.transcript.strip()) for source in sources)
    if given:
        told = f"the transcripts of {given} of {len(sources)} films are not used"
        print(f"--timeline: {told}: they do not say when what is said", file=sys.stderr)


def _warn(predictor: Predictor, sources: Sequence[Source]) -> None:
    """What to know before believing the predictions, on stderr."""
    if predictor.warning is not None:
        print(predictor.warning, file=sys.stderr)
    if predictor.missing:
        print(f"without the imported views {', '.join(predictor.missing)}: no encoder makes them", file=sys.stderr)
    unknown = sum(source.group is None for source in sources)
    if predictor.by_group and unknown:
        print(
            f"warning: this bundle standardises within groups (speakers), and {unknown} of {len(sources)} files have "
            "none: they are taken for one speaker's, the best estimate; say --group NAME or --groups groups.csv",
            file=sys.stderr,
        )


def _predictions(
    predictor: Predictor, sources: Sequence[Source], out: Path | None, workers: int
) -> Iterator[Prediction]:
    from mer.params import ComputeParams
    from mer.prediction.many import predict_to_table

    compute = ComputeParams(workers=workers)
    if out is not None:
        yield from predict_to_table(predictor, sources, out, compute)
        return
    with closing(predictor.stream(sources, compute)) as found:
        for _, prediction in found:
            yield prediction


def _tell(prediction: Prediction, as_json: bool) -> None:
    if as_json:
        print(json.dumps(prediction.as_dict(), ensure_ascii=not speaks_unicode()), flush=True)
    else:
        print(prediction, flush=True)
