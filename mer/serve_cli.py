"""`mer serve`: a trained bundle behind a page and a JSON API."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from mer.errors import MerError
from mer.predict_cli import Weights, weights_of

TOKEN = "MER_TOKEN"  # noqa: S105  (a name, no secret)


def serve(
    bundle: Annotated[Path, typer.Argument(help="Trained bundle")] = Path("data/models/bundle"),
    host: Annotated[
        str,
        typer.Option(help=f"Address to listen on; any but this machine's own asks for a token, ${TOKEN} or a new one"),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one")] = 8000,
    megabytes: Annotated[int, typer.Option(help="Largest file")] = 200,
    seconds: Annotated[float, typer.Option(help="Longest clip")] = 120.0,
    at_once: Annotated[int, typer.Option(help="Clips decoded side by side")] = 2,
    queue: Annotated[int, typer.Option(help="Clips that may wait")] = 16,
    per_client: Annotated[int, typer.Option(help="Clips of one address at a time")] = 16,
    upload_seconds: Annotated[float, typer.Option(help="Longest upload")] = 120.0,
    weights: Weights = None,
) -> None:
    """Serve a bundle: a page to drop or record a clip, and a JSON API."""
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MerError(f"{error.name} is not installed: pip install 'mer[serve]'") from None
    from mer import load_bundle
    from mer.serve.gate import is_local
    from mer.serve.limits import Limits
    from mer.serve.listen import listen

    limits = Limits(megabytes, seconds, at_once, queue, per_client, upload_seconds)
    predictor = load_bundle(bundle, weights_of(weights))
    if predictor.warning is not None:
        print(predictor.warning, file=sys.stderr)
    token = os.environ.get(TOKEN) or None
    if token is None and not is_local(host):
        token = secrets.token_urlsafe(24)
    listen(predictor, limits, host, port, token)
