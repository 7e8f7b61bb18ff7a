import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.errors import MerError
from mer.params import TextParams

WORDS = (
    "happy",
    "sad",
    "angry",
    "fine",
    "today",
    "we",
    "go",
    "home",
    "why",
    "not",
    "好",
    "难过",
    "今天",
    "生气",
    "怎么",
)
RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS, 6)) for _ in range(60)]
PARAMS = TextParams(dimensions=16)


@pytest.fixture(scope="module")
def encoder():
    return TfidfTextEncoder.fit(TEXTS, PARAMS)


def embeddings(encoder, texts):
    return np.stack([features.embedding for features in encoder.encode(texts)])


def test_full_rank_keeps_the_cosines_of_tfidf():
    encoder = TfidfTextEncoder.fit(TEXTS, TextParams(dimensions=500))
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True).fit_transform(TEXTS)
    ours = embeddings(encoder, TEXTS)
    assert np.allclose(ours @ ours.T, (vectors @ vectors.T).toarray(), atol=1e-5)


def test_fitting_again_gives_the_same_bytes(encoder):
    again = TfidfTextEncoder.fit(TEXTS, PARAMS)
    assert again.fingerprint == encoder.fingerprint
    assert TfidfTextEncoder.fit(TEXTS[1:], PARAMS).fingerprint != encoder.fingerprint


def test_a_sentence_gets_the_same_embedding_alone_and_in_a_batch(encoder):
    together = embeddings(encoder, TEXTS)
    assert np.array_equal(together[7], embeddings(encoder, [TEXTS[7]])[0])


def test_similar_sentences_are_closer(encoder):
    a, b, c = embeddings(encoder, ["we go home happy", "happy we go home today", "今天生气 怎么"])
    assert a @ b > a @ c + 0.3


@pytest.mark.parametrize(
    ("text", "note"), [("", "empty"), (" \t\n", "empty"), ("🙂🙂", "vocabulary"), ("ЖЩ", "vocabulary")]
)
def test_text_without_usable_content_is_absent(encoder, text, note):
    features = encoder.encode([text])[0]
    assert not features.ok
    assert note in features.note
    assert not features.embedding.any()


def test_long_and_mixed_text_is_encoded(encoder):
    for features in encoder.encode(["happy 难过 " * 1500, "今天 I am happy 🙂", "好"]):
        assert features.ok
        assert np.linalg.norm(features.embedding) == pytest.approx(1, abs=1e-5)


def test_a_saved_encoder_is_the_same_encoder(encoder, tmp_path):
    encoder.save(tmp_path / "text")
    loaded = TfidfTextEncoder.load(tmp_path / "text")
    assert loaded.fingerprint == encoder.fingerprint
    assert np.array_equal(embeddings(loaded, TEXTS), embeddings(encoder, TEXTS))
    assert {path.suffix for path in (tmp_path / "text").iterdir()} == {".json", ".safetensors"}


def test_a_corpus_without_text_gives_an_encoder_to_which_all_is_absent(tmp_path):
    encoder = TfidfTextEncoder.fit(["", "  "], PARAMS)
    encoder.save(tmp_path)
    for one in (encoder, TfidfTextEncoder.load(tmp_path)):
        assert [features.ok for features in one.encode(["", "happy"])] == [False, False]


def test_a_corpus_of_one_sentence_gives_one_dimension():
    encoder = TfidfTextEncoder.fit(["happy", "happy"], PARAMS)
    assert encoder.dimensions == 1
    assert encoder.encode(["happy"])[0].ok


def test_a_damaged_folder_is_named(encoder, tmp_path):
    with pytest.raises(MerError, match="not a fitted TF-IDF encoder"):
        TfidfTextEncoder.load(tmp_path)
    encoder.save(tmp_path)
    (tmp_path / "tfidf.safetensors").write_bytes(b"nothing")
    with pytest.raises(MerError, match="not a fitted TF-IDF encoder"):
        TfidfTextEncoder.load(tmp_path)
