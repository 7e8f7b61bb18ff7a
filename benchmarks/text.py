"""Text encoders: a BERT-base-sized model in length-sorted batches against one sentence after the other, and TF-IDF.

The usual way is transformers' tokenizer and model in float32, a sentence at a time. Weights and sentences are random:
they do not change the speed. Both sides take turns on one thread; figures are medians in processor seconds.

    python -m benchmarks.text [--sentences 64] [--rounds 3] [--corpus 20000]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from benchmarks.face import DTYPE, take_turns
from mer.encoders.text.load import load_text_encoder
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.params import TextParams

WORDS = 5_000
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--corpus", type=int, default=20_000, help="texts that TF-IDF is fitted on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    random = np.random.default_rng(0)
    words = sorted(
        {"".join(random.choice(list("abcdefghijklmnopqrst"), size=random.integers(2, 9))) for _ in range(WORDS)}
    )
    with tempfile.TemporaryDirectory() as folder:
        make_bert(Path(folder), words)
        compare(Path(folder), sentences(random, words, arguments.sentences), arguments.rounds)
    time_tfidf(sentences(random, words, arguments.corpus))


def sentences(random: np.random.Generator, words: list[str], count: int) -> list[str]:
    """Utterances of about twelve words, some of fifty."""
    lengths = np.clip(random.lognormal(2.3, 0.6, size=count), 1, 60).astype(int)
    return [" ".join(random.choice(words, size=length)) for length in lengths]


def make_bert(folder: Path, words: list[str]) -> None:
    """Random BERT-base whose tokenizer knows the words."""
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(vocab_size=len(vocabulary))).save_pretrained(folder)


def compare(folder: Path, texts: list[str], rounds: int) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    encoders = {dtype: load_text_encoder(TextParams(encoder=str(folder), dtype=dtype)) for dtype in ("float32", DTYPE)}
    for encoder in encoders.values():
        encoder.encode(texts[:1])  # loads the weights

    def usual() -> NDArray[np.float32]:
        return np.stack([usual_embedding(tokenizer, model, text) for text in texts])

    def mer(dtype: Literal["float32", "bfloat16"]) -> NDArray[np.float32]:
        return np.stack([features.embedding for features in encoders[dtype].encode(texts)])

    (usual_seconds, loop), *rest = take_turns([usual, *(lambda d=dtype: mer(d) for dtype in encoders)], rounds)
    print(f"BERT-base, {len(texts)} sentences: usual {len(texts) / usual_seconds:.1f} sentences/s")
    for dtype, (seconds, ours) in zip(encoders, rest, strict=True):
        cosines = (loop * ours).sum(1) / np.linalg.norm(loop, axis=1) / np.linalg.norm(ours, axis=1)
        print(
            f"  mer ({dtype}) {len(texts) / seconds:.1f} sentences/s, {usual_seconds / seconds:.1f} times as fast, ",
            end="",
        )
        print(f"largest difference {np.abs(loop - ours).max():.1e}, lowest cosine {cosines.min():.5f}")


def usual_embedding(tokenizer: Any, model: Any, text: str) -> NDArray[np.float32]:
    with torch.no_grad():
        tokens = tokenizer(text, return_tensors="pt").to(model.device)
        states = model(**tokens, output_hidden_states=True).hidden_states
    return np.asarray(torch.stack(states)[[-4, -3, -2, -1]].sum(0)[0][1:-1].mean(0).cpu().numpy())


def time_tfidf(texts: list[str]) -> None:
    ((fitting, encoder),) = take_turns([lambda: TfidfTextEncoder.fit(texts, TextParams())], 1)
    ((encoding, _),) = take_turns([lambda: encoder.encode(texts)], 1)
    print(f"TF-IDF + SVD on {len(texts)} texts: fitted in {fitting:.1f} s, encoded in {encoding:.1f} s")


if __name__ == "__main__":
    main()
