"""The extract stage, once a view: whichever kind of view it is, its features end in `features/<view>`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mer.clips import read_clips
from mer.errors import MerError
from mer.extraction.per_clip import Place
from mer.params import AudioParams, FaceParams, ImportParams, Params, TextParams
from mer.running.stage import Work


def extract_view(name: str, params: Params, data: Path = Path("data")) -> Work:
    """Write the features of one view; see `mer.extraction.features.write_features`.

    Raises:
        MerError: there is no such view, or what it is made from cannot be loaded; the line names the view.
    """
    if name not in params.views:
        raise MerError(f"views: there is no '{name}' (there are: {', '.join(params.views)})")
    view = params.views[name]
    with named(name):
        if isinstance(view, ImportParams):
            from mer.extraction.imports import extract_import

            return extract_import(name, view, Place(data, read_clips(data / "clips.parquet")))
        if isinstance(view, TextParams):
            from mer.extraction.text import extract_text
            from mer.extraction.transcript_table import read_transcripts

            texts = read_transcripts(data / "transcripts.parquet")
            return extract_text(name, texts, view, params.compute, Place(data, read_clips(data / "clips.parquet")))
        from mer.extraction.media import open_media

        media = open_media(params, data)
        if isinstance(view, AudioParams):
            from mer.extraction.audio import extract_audio

            return extract_audio(name, media, view, params.compute)
        assert isinstance(view, FaceParams)
        from mer.extraction.face import extract_face

        return extract_face(name, media, view, params.faces, params.compute)


@contextmanager
def named(name: str) -> Iterator[None]:
    """An encoder speaks of its modality's keys, such as `face.encoder`; the line that people see has the view's."""
    try:
        yield
    except MerError as error:
        raise type(error)(in_view(str(error), name)) from None


def in_view(message: str, name: str) -> str:
    """`face.encoder: ...` as `views.<name>.encoder: ...`."""
    first, dot, rest = message.partition(".")
    return f"views.{name}.{rest}" if dot and first.strip("'") in ("audio", "face", "text") else message
