"""Where clips are admitted, wait and are predicted, a few side by side."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mer.compute.threads import OneThread
from mer.encoders.face.cropper import FaceCropper
from mer.errors import ClipError, MachineError
from mer.media.record import MediaRecord
from mer.media.sandbox import Sandbox
from mer.prediction.extractor import raw_of
from mer.prediction.source import Source
from mer.prediction.timeline import timeline
from mer.serve.limits import Limits
from mer.serve.refusals import BusyError, CannotPredictError, GoneError, TooManyError

if TYPE_CHECKING:
    from mer.prediction.answer import Prediction
    from mer.prediction.predictor import Predictor
    from mer.prediction.timeline import Utterance

T = TypeVar("T")
LOOK_SECONDS = 0.25
"""How often a client that waits is looked after."""


@dataclass(frozen=True)
class Predicted:
    """A clip's prediction, its record (sound and frames), the seconds that decoding and predicting took, and its
    utterances where they were asked for."""

    prediction: Prediction
    record: MediaRecord
    decoding: float
    predicting: float
    utterances: tuple[Utterance, ...] | None = None


class Desk:
    """Predicts uploads with one bundle.

    Decoding happens in a sandbox a thread, as everywhere; the encoders are shared and used by one thread at a time.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor.ready(), limits
        longest = min(limits.seconds, predictor.params.decode.max_seconds)
        self.decode = predictor.params.decode.model_copy(update={"max_seconds": longest})
        self.admitted: Counter[str] = Counter()
        self.working = 0
        self._places = asyncio.Semaphore(limits.at_once)
        self._pool = ThreadPoolExecutor(limits.at_once, thread_name_prefix="predict")
        self._encoders = threading.Lock()
        self._idle: list[Tools] = []

    @property
    def waiting(self) -> int:
        """Clips that are admitted and not yet worked on."""
        return self.admitted.total() - self.working

    @asynccontextmanager
    async def admit(self, client: str) -> AsyncIterator[None]:
        """Hold a place from before the upload until the answer.

        Raises:
            BusyError: all places are taken.
            TooManyError: this client has as many as one may.
        """
        if self.admitted.total() >= self.limits.admitted:
            raise BusyError(f"{self.limits.admitted} files are here already; try again")
        if self.admitted[client] >= self.limits.per_client:
            raise TooManyError(f"{self.limits.per_client} files of yours are here already; try again")
        self.admitted[client] += 1
        try:
            yield
        finally:
            self.admitted[client] -= 1
            self.admitted += Counter()  # drops clients with none

    async def predict(
        self, path: Path, source: Source, gone: Callable[[], Awaitable[bool]], *, cut: bool = False
    ) -> Predicted:
        """Predict a file; it must stay until this returns, and may be removed then.

        Args:
            cut: whether to predict each of its utterances, too.
            gone: whether the client went away meanwhile: then its clip is given up.

        Raises:
            CannotPredictError: it cannot be decoded, or there is nothing to go by.
            BusyError: the machine failed.
            GoneError: nobody waits any more.
        """
        turn = asyncio.ensure_future(self._places.acquire())
        try:
            await _watched(turn, gone, turn.cancel)
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._places.release()
            raise
        self.working += 1
        tools = self._idle.pop() if self._idle else Tools(Sandbox(self.decode), self._cropper())
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._work, tools, path, source, cut)
        try:
            found = await _watched(work, gone, tools.sandbox.close)
        except (CannotPredictError, BusyError):
            self._idle.append(tools)  # the sandbox has a fresh worker where the clip killed one
            raise
        except BaseException:
            tools.sandbox.close()
            raise
        else:
            self._idle.append(tools)
            return found
        finally:
            self.working -= 1
            self._places.release()

    def close(self) -> None:
        """End all workers."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for tools in self._idle:
            tools.sandbox.close()
        self._idle.clear()

    def _cropper(self) -> FaceCropper | None:
        return FaceCropper(self.predictor.params.faces) if "face" in self.predictor.modalities else None

    def _work(self, tools: Tools, path: Path, source: Source, cut: bool) -> Predicted:
        try:
            began = time.monotonic()
            record = MediaRecord(clip_id=source.path, **tools.sandbox.decode(path))
            raw = raw_of(record, tools.cropper, source.transcript)
            decoded = time.monotonic()
            with self._encoders:
                prediction = self._predict(raw, source)
                utterances = tuple(timeline(self.predictor, source)) if cut else None
            done = time.monotonic()
        except MachineError as error:
            raise BusyError(str(error)) from None
        except ClipError as error:
            raise CannotPredictError(error.error, str(error).replace(str(path), source.path)) from None
        if prediction.error is not None:
            raise CannotPredictError("nothing_to_go_by", str(prediction.error))
        return Predicted(prediction, record, decoded - began, done - decoded, utterances)

    def _predict(self, raw: object, source: Source) -> Prediction:
        threads = OneThread()
        threads.take()  # as in training: sums over another number of threads round otherwise
        try:
            [prediction] = self.predictor.predict_raw([raw], [source])  # type: ignore[list-item]
            return prediction
        finally:
            threads.give_back()


@dataclass(frozen=True)
class Tools:
    """What one thread decodes with."""

    sandbox: Sandbox
    cropper: FaceCropper | None


async def _watched(task: asyncio.Future[T], gone: Callable[[], Awaitable[bool]], give_up: Callable[[], object]) -> T:
    """Await a task while the client is there; where it went, give up, wait for the end and say so."""
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            if not task.done() and await gone():
                raise GoneError("the client went away")
    except (GoneError, asyncio.CancelledError):
        give_up()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # looked at: nobody else will
        raise
    return task.result()
