"""The process that meets hostile files: `python -m mer.media.worker`, started and watched by `mer.media.sandbox`.

It reads one JSON request a line and answers with a length, a JSON header, then audio and JPEGs. Nothing that it sends
is ever unpickled. It has limits on memory, processor time and file size, and where the kernel has Landlock and seccomp
no way to write a file, to reach the network or to start a program: see `mer.media.confine`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, BinaryIO

import av
import cv2

from mer.media import encode
from mer.media.confine import confine
from mer.media.decode import Media, decode_clip
from mer.media.errors import MediaError, OutOfMemoryError
from mer.media.film import film_frames, film_length, film_sound
from mer.media.part import Part
from mer.media.parts import PartMedia, decode_parts
from mer.running.lifeline import end_with_parent

Film = Iterator[tuple[dict[str, Any], bytes]]
LEAST_MEMORY = 64 * 2**20
HEADER = struct.Struct(">QI")
"""Length of the whole answer after this header, length of its JSON part."""


def main() -> None:
    """Serve requests on standard input until it closes. The first request sets the limits; its answer is a greeting."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    av.logging.set_level(None)
    cv2.setNumThreads(1)
    requests = sys.stdin.buffer
    config = json.loads(requests.readline())
    _limit(resource.RLIMIT_AS, config["memory_mb"] * 2**20)
    bytearray(LEAST_MEMORY)  # with less than this nothing decodes: fail now, and say so, rather than on every clip
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    confine()
    end_with_parent(config["parent"])  # after it: what holds for this thread holds for those that it starts
    _send(answers, {"ready": True})
    params = SimpleNamespace(**config)
    film: Film = iter(())
    for line in iter(requests.readline, b""):
        request = json.loads(line)
        _allow_cpu_seconds(config["timeout_seconds"] * len(request.get("parts", [0])))
        if "parts" in request:
            _answer_parts(answers, request["path"], [Part(**part) for part in request["parts"]], params)
        elif "path" in request:
            _answer(answers, request["path"], params)
        elif "film" in request:
            film = _film(request, params)
            _send(answers, {"ready": True})
        else:
            _next(answers, film)


def _limit(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, hard))


def _allow_cpu_seconds(seconds: float) -> None:
    """Processor time is counted over the life of the process: move the limit on before each clip."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime + seconds) + 2)


def _answer(answers: BinaryIO, path: str, params: Any) -> None:
    def one() -> list[Media | PartMedia | MediaError]:
        return [decode_clip(path, params)]

    _send_all(answers, one, 1, params)


def _answer_parts(answers: BinaryIO, path: str, parts: Sequence[Part], params: Any) -> None:
    """One answer a part, in order; a fault of the file is a fault of each."""
    _send_all(answers, lambda: list(decode_parts(path, parts, params)), len(parts), params)


def _send_all(
    answers: BinaryIO, decode: Callable[[], list[Media | PartMedia | MediaError]], count: int, params: Any
) -> None:
    sent = 0

    def tell(fault: dict[str, Any]) -> None:
        for _ in range(sent, count):
            _send(answers, fault)

    with _faults(tell):
        for media in decode():
            if isinstance(media, MediaError):
                _send(answers, {"error": media.error, "message": str(media)})
            else:
                _send_media(answers, media, params)
            sent += 1


def _send_media(answers: BinaryIO, media: Media | PartMedia, params: Any) -> None:
    audio = [] if media.audio is None else [encode.flac(media.audio)]
    frames = [frame if isinstance(frame, bytes) else encode.jpeg(frame, params.jpeg_quality) for frame in media.frames]
    header = {
        "audio": len(audio[0]) if audio else None,
        "frames": [len(frame) for frame in frames],
        "timestamps": media.timestamps,
        "duration": media.duration,
        "width": media.width,
        "height": media.height,
        "notes": [asdict(note) for note in media.notes],
    }
    _send(answers, header, *audio, *frames)


def _film(request: dict[str, Any], params: Any) -> Film:
    """The answers to come about a film: stretches of its sound, or its frames at some times."""
    if "length" in request:
        for seconds in film_length(request["film"]):
            yield {"length": seconds}, b""
        return
    if "times" not in request:
        for stretch in film_sound(request["film"], params, request["seconds"]):
            audio = encode.flac(stretch) if len(stretch) else b""
            yield {"audio": len(audio)}, audio
        return
    for one in film_frames(request["film"], params, request["times"]):
        frame = b"" if one is None else encode.jpeg(one[1].image, params.jpeg_quality)
        yield {"frame": len(frame), "place": None if one is None else one[0]}, frame


def _next(answers: BinaryIO, film: Film) -> None:
    with _faults(lambda fault: _send(answers, fault)):
        header, blob = next(film, ({"end": True}, b""))
        _send(answers, header, blob)


@contextmanager
def _faults(tell: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Tell the fault of what is done inside."""
    try:
        yield
    except MediaError as error:
        tell({"error": error.error, "message": str(error)})
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
            raise
        tell({"error": OutOfMemoryError.error, "message": "decoding needs more than decode.memory_mb"})


def _send(answers: BinaryIO, header: dict[str, Any], *blobs: bytes) -> None:
    text = json.dumps(header).encode()
    answers.write(HEADER.pack(len(text) + sum(map(len, blobs)), len(text)))
    answers.write(text)
    for blob in blobs:
        answers.write(blob)
    answers.flush()


if __name__ == "__main__":
    main()
