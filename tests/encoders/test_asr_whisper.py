"""Whisper from a folder against the library's own model, one clip at a time, on a tiny random one."""

import numpy as np
import pytest
import torch
import transformers as tr
from tokenizers import AddedToken, pre_tokenizers

from mer.encoders.asr.load import load_transcriber
from mer.encoders.asr.transcript import Transcript
from mer.encoders.asr.voice import by_level
from mer.errors import MerError
from mer.params import TranscribeParams

SPECIAL = ["<|startoftranscript|>", "<|en|>", "<|zh|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>"]
SPECIAL += ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
LONGEST = 24
END = 256


def tiny_whisper(folder, longest=LONGEST):
    """Random weights, sharp enough that what is said depends on what is heard; it can say ASCII letters only."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(alphabet)} | {"<|endoftext|>": END}
    tokenizer = tr.WhisperTokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_tokens([AddedToken(name, special=True) for name in SPECIAL], special_tokens=True)
    tokenizer.add_tokens([AddedToken(f"<|{number * 0.02:.2f}|>") for number in range(1501)])
    number = tokenizer.convert_tokens_to_ids
    marks = {
        "bos_token_id": END,
        "eos_token_id": END,
        "pad_token_id": END,
        "decoder_start_token_id": number(SPECIAL[0]),
    }
    sizes = {f"{part}_{what}": value for part in ("encoder", "decoder") for what, value in
             (("layers", 2), ("attention_heads", 2), ("ffn_dim", 32))}  # fmt: skip
    config = tr.WhisperConfig(vocab_size=len(tokenizer), d_model=32, num_mel_bins=8, max_target_positions=longest, **sizes, **marks)  # noqa: E501  # fmt: skip
    torch.manual_seed(5)
    model = tr.WhisperForConditionalGeneration(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "embed_positions" not in name:
                weight.mul_(60.0 if "conv" in name else 30.0 if "encoder_attn" in name else 8.0)
    sayable = {alphabet.index(letter) for letter in "abcdefghijklmnop"} | {alphabet.index("\u0120"), END}
    model.generation_config = tr.GenerationConfig(
        is_multilingual=True,
        lang_to_id={"<|en|>": number("<|en|>"), "<|zh|>": number("<|zh|>")},
        task_to_id={"transcribe": number("<|transcribe|>"), "translate": number("<|translate|>")},
        no_timestamps_token_id=number("<|notimestamps|>"),
        alignment_heads=[[0, 0], [1, 1]],
        suppress_tokens=sorted(set(range(len(tokenizer))) - sayable),
        begin_suppress_tokens=[END],
        max_length=longest,
        **marks,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tr.WhisperFeatureExtractor(feature_size=8).save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def level_decides(monkeypatch):
    """The sounds below are no speech, as silero's network would find out where it is installed."""
    for module in ("whisper", "faster_whisper"):
        monkeypatch.setattr(f"mer.encoders.asr.{module}.detector", lambda: ("level", by_level))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_whisper(tmp_path_factory.mktemp("whisper"))


def speech(seconds, seed):
    """Noise whose spectrum wanders."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16_000)) / 16_000
    tones = sum(np.sin(2 * np.pi * rng.uniform(100, 4000) * time + rng.uniform(0, 6)) for _ in range(5))
    return (0.05 * tones + 0.05 * rng.normal(size=len(time))).astype(np.float32)


CLIPS = [speech(1.0, 0), np.zeros(16_000, np.float32), speech(3.5, 1), np.zeros(0, np.float32), speech(2.0, 2)]


def library(folder, waveform, beams=1, **options):
    processor = tr.WhisperProcessor.from_pretrained(folder)
    model = tr.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    inputs = processor(waveform, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True)
    with torch.inference_mode():
        ids = model.generate(**inputs, do_sample=False, num_beams=beams, task="transcribe", **options)
    return processor.batch_decode(ids, skip_special_tokens=True)[0].strip()


@pytest.mark.parametrize(("language", "beams"), [("zh", 1), (None, 1), ("zh", 3)])
def test_text_is_the_librarys_in_any_batch(folder, language, beams):
    transcriber = load_transcriber(TranscribeParams(asr=folder, language=language, beams=beams, batch_windows=2))
    batch = transcriber.transcribe(CLIPS)
    alone = [transcriber.transcribe([clip])[0] for clip in CLIPS]
    assert [one.text for one in batch] == [one.text for one in alone]
    spoken = [library(folder, clip, beams, language=language) if clip.any() else "" for clip in CLIPS]
    assert [one.text for one in batch] == spoken
    assert len({text for text in spoken if text}) == 3


def test_hearing_again_gives_the_same_transcripts(folder):
    first, second = (load_transcriber(TranscribeParams(asr=folder, language="en")).transcribe(CLIPS) for _ in range(2))
    assert first == second


def test_words_have_times_in_order_and_within_the_sound(folder):
    quiet = np.zeros(5 * 16_000, np.float32)
    (transcript,) = load_transcriber(TranscribeParams(asr=folder, language="en")).transcribe(
        [np.concatenate([quiet, speech(3.5, 1), quiet])]
    )
    assert " ".join(word.text for word in transcript.words) == " ".join(transcript.text.split())
    times = [time for word in transcript.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 4.7 <= times[0] <= times[-1] <= 8.8


def test_words_are_said_when_the_library_says(folder):
    """The time of a token is its end: taken for its start, every word came a token late."""
    transcriber = load_transcriber(TranscribeParams(asr=folder, language="en", beams=1))
    tokenizer = tr.AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer.encode(" so, here we are", add_special_tokens=False)
    ends = [0.02 * (3 * place + 5) for place in range(len(tokens))]
    said = {"tokens": np.array([tokens]), "token_timestamps": np.array([ends])}
    _, theirs = tokenizer._decode_asr([said], return_timestamps="word", return_language=False, time_precision=0.02)
    ours = transcriber._transcript(tokens, ends, 30.0)
    assert [word.text for word in ours.words] == ["so,", "here", "we", "are"]
    assert [(word.text, word.start, word.end) for word in ours.words] == [
        (chunk["text"].strip(), *map(pytest.approx, chunk["timestamp"])) for chunk in theirs["chunks"]
    ]


def test_a_model_without_alignment_heads_gives_text_without_times(folder, tmp_path):
    plain = tiny_whisper(tmp_path)
    config = tr.GenerationConfig.from_pretrained(plain)
    config.alignment_heads = None
    config.save_pretrained(plain)
    with_times = load_transcriber(TranscribeParams(asr=folder, language="en")).transcribe(CLIPS)
    without = load_transcriber(TranscribeParams(asr=plain, language="en")).transcribe(CLIPS)
    assert [one.text for one in without] == [one.text for one in with_times]
    assert not any(one.words for one in without)


def test_a_clip_longer_than_a_window_is_heard_in_spans(folder):
    pause = np.zeros(16_000, np.float32)
    parts = [speech(20.0, 3), speech(25.0, 4)]
    (whole,) = load_transcriber(TranscribeParams(asr=folder, language="en")).transcribe(
        [np.concatenate([parts[0], pause, parts[1]])]
    )
    assert whole.words[-1].end > 40
    assert len(whole.text) > LONGEST - 8


def test_silence_is_never_made_words_of(folder, monkeypatch):
    monkeypatch.setattr(tr.WhisperForConditionalGeneration, "generate", None)
    transcriber = load_transcriber(TranscribeParams(asr=folder))
    assert [one.text for one in transcriber.transcribe([np.zeros(50_000, np.float32)] * 2)] == ["", ""]
    assert transcriber.transcribe([]) == []


def test_fingerprint_follows_the_language_and_not_the_batch(folder):
    base = load_transcriber(TranscribeParams(asr=folder)).fingerprint
    assert load_transcriber(TranscribeParams(asr=folder, batch_windows=3)).fingerprint == base
    assert load_transcriber(TranscribeParams(asr=folder, language="zh")).fingerprint != base
    assert load_transcriber(TranscribeParams(asr=folder, beams=1)).fingerprint != base


def test_what_is_wrong_is_one_clear_line(folder, tmp_path):
    assert load_transcriber(TranscribeParams()) is None
    with pytest.raises(MerError, match=r"transcribe\.asr: 'nowhere' is no folder"):
        load_transcriber(TranscribeParams(asr="nowhere"))
    with pytest.raises(MerError, match=r"transcribe\.language: 'xx' is none of en, zh"):
        load_transcriber(TranscribeParams(asr=folder, language="xx")).transcribe(CLIPS)
    english = load_transcriber(TranscribeParams(asr=folder, language="de"))
    english._model.generation_config.is_multilingual = False
    with pytest.raises(MerError, match=r"transcribe\.language: 'de' is not English, all that .* knows"):
        english.transcribe(CLIPS)
    tr.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(MerError, match=r"transcribe\.asr: .* holds 'bert', not Whisper"):
        load_transcriber(TranscribeParams(asr=str(tmp_path)))
    tr.WhisperConfig().save_pretrained(tmp_path)
    with pytest.raises(MerError, match=r"transcribe\.asr: "):
        load_transcriber(TranscribeParams(asr=str(tmp_path)))


@pytest.fixture
def converted(tmp_path, monkeypatch):
    """A folder of CTranslate2's; what its random weights say goes in circles, and counts all the same."""
    pytest.importorskip("faster_whisper", reason="the asr extra is not installed")
    converters = pytest.importorskip("ctranslate2.converters", reason="the asr extra is not installed")
    folder = tiny_whisper(tmp_path / "whole", longest=448)  # faster-whisper takes 448
    converter = converters.TransformersConverter(folder, copy_files=["tokenizer.json", "preprocessor_config.json"])
    monkeypatch.setattr("mer.encoders.asr.faster_whisper.is_made_up", lambda *_: False)
    return converter.convert(str(tmp_path / "converted"))


def test_a_span_of_speech_is_heard_once(converted, monkeypatch):
    """After a first window that ends early, faster-whisper goes on at its last word, and reads words into the rest."""
    from faster_whisper import WhisperModel

    decoded = []
    decode = WhisperModel.generate_with_fallback

    def counted(self, *arguments):
        decoded.append(decode(self, *arguments))
        return decoded[-1]

    monkeypatch.setattr(WhisperModel, "generate_with_fallback", counted)
    heard = load_transcriber(TranscribeParams(asr=converted, language="en")).transcribe(CLIPS[:1])
    assert heard[0].words
    assert heard[0].words[-1].end < len(CLIPS[0]) / 16_000
    assert len(decoded) == 1


def test_a_ctranslate2_folder_is_heard_the_same_way_every_time(converted):
    params = TranscribeParams(asr=converted, language="en")
    heard = load_transcriber(params).transcribe(CLIPS)
    assert [bool(one.text) for one in heard] == [bool(clip.any()) for clip in CLIPS]
    assert heard == load_transcriber(params).transcribe(CLIPS)
    with pytest.raises(MerError, match=r"transcribe\.language: 'xx' is none of"):
        load_transcriber(params.model_copy(update={"language": "xx"})).transcribe(CLIPS)


def test_made_up_text_is_dropped_by_what_the_model_itself_says(folder, monkeypatch):
    transcriber = load_transcriber(TranscribeParams(asr=folder, language="en"))
    assert transcriber.transcribe([CLIPS[0]])[0].text
    doubts = {}

    def judge(text, no_speech, mean_log_probability):
        doubts[text] = (no_speech, mean_log_probability)
        return True

    monkeypatch.setattr("mer.encoders.asr.whisper.is_made_up", judge)
    dropped = transcriber.transcribe([CLIPS[0], CLIPS[2]])
    assert [(one.text, one.words, one.left_out) for one in dropped] == [("", (), 1), ("", (), 1)]
    assert len(doubts) == 2
    monkeypatch.setattr(transcriber, "_transcript", lambda *_: Transcript(""))
    assert transcriber.transcribe([CLIPS[0]]) == [Transcript("")]  # of a window without text nothing was left out
    assert all(0 < no_speech < 1 and log < 0 for no_speech, log in doubts.values())


def test_doubts_are_those_of_a_plain_forward_pass(folder, monkeypatch):
    model = tr.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    processor = tr.WhisperProcessor.from_pretrained(folder)
    inputs = processor(CLIPS[0], sampling_rate=16_000, return_tensors="pt")
    prompt = [processor.tokenizer.convert_tokens_to_ids(name) for name in ("<|startoftranscript|>", "<|nospeech|>")]
    with torch.inference_mode():
        logits = model(**inputs, decoder_input_ids=torch.tensor([prompt[:1]])).logits[0, 0]
    seen = []
    monkeypatch.setattr("mer.encoders.asr.whisper.is_made_up", lambda text, none, log: seen.append(none))
    load_transcriber(TranscribeParams(asr=folder, language="en")).transcribe([CLIPS[0]])
    assert seen[0] == pytest.approx(float(logits.softmax(-1)[prompt[1]]), rel=1e-3)
