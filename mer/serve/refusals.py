"""Why a request gets no prediction: each has its status and a stable name."""

from __future__ import annotations

from typing import ClassVar

from mer.errors import MerError

RETRY_SECONDS = 2
"""Until a client that was sent away may come again: about what a clip takes."""


class RefusedError(MerError):
    """A request that is answered with a fault; `retry` where another try may go better."""

    status: ClassVar[int] = 400
    error: ClassVar[str] = "refused"
    retry: ClassVar[bool] = False


class UnauthorisedError(RefusedError):
    """No token, or another."""

    status, error = 401, "unauthorised"


class ForeignError(RefusedError):
    """The request comes from another site's page, or under a name that is not this server's."""

    status, error = 403, "foreign_site"


class SlowError(RefusedError):
    """The upload took too long."""

    status, error = 408, "upload_too_slow"


class TooLargeError(RefusedError):
    """The file is larger than the server takes."""

    status, error = 413, "too_large"


class FormError(RefusedError):
    """The body is a form and not a file."""

    status, error = 415, "not_a_file"


class CannotPredictError(RefusedError):
    """The file cannot be decoded, or holds nothing to go by."""

    status, error = 422, "cannot_predict"

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.name = error


class TooManyError(RefusedError):
    """This client has too many files here already."""

    status, error, retry = 429, "too_many_files", True


class BusyError(RefusedError):
    """The queue is full, or the machine failed."""

    status, error, retry = 503, "busy", True


class GoneError(RefusedError):
    """The client went away; nobody reads this."""

    status, error = 499, "client_gone"
