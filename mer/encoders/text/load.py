"""The pretrained text encoder that `text.encoder` names."""

from __future__ import annotations

from pathlib import Path

from mer.encoders.base import Encoder
from mer.errors import MerError
from mer.params import TextParams


def load_text_encoder(params: TextParams) -> Encoder[str]:
    """The encoder of the folder `text.encoder`; 'tfidf' is fitted, not loaded: see `TfidfTextEncoder.fit`.

    Raises:
        MerError: the folder is incomplete, holds no text model, or `text.layers` asks for a block it does not have.
    """
    if not Path(params.encoder).is_dir():
        raise MerError(f"text.encoder: '{params.encoder}' is neither 'tfidf' nor a Hugging Face folder")
    from mer.encoders.text.sentence import SentenceEncoder, is_sentence_encoder

    if is_sentence_encoder(Path(params.encoder)):
        return SentenceEncoder(params)
    from mer.encoders.text.transformer import TransformerTextEncoder

    return TransformerTextEncoder(params)
