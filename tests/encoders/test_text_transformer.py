"""Text folders against transformers' own tokenizer and model, one sentence at a time."""

import json

import numpy as np
import pytest
import torch
import transformers as tr
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from mer.encoders.text.load import load_text_encoder
from mer.errors import MerError
from mer.params import TextParams

CORPUS = [
    "I am so happy today",
    "why are you angry, my friend?",
    "好难过啊 今天",
    "我们回家吧 I said",
    "no no no, not today!",
]
SENTENCES = [
    "I am happy",
    "",
    "why are you so angry today, my friend? no, not today, not you!",
    "  \t",
    "今天好难过 I am not happy 我们 go home",
    "好",
    "no 🙂 today",
]
TINY = {"hidden_size": 32, "num_hidden_layers": 5, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 400}
ROTARY = TINY | {"num_key_value_heads": 2, "max_position_embeddings": 4096}


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return tr.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def sentencepiece():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}
    return tr.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def bytes_bpe(special, around=None, **names):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=380, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(CORPUS, trainer)
    if around:
        tokenizer.post_processor = around
    return tr.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def roberta_bytes():
    around = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
    return bytes_bpe(["<s>", "<pad>", "</s>", "<unk>"], around, **names)


def with_bos():
    around = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return bytes_bpe(["<s>", "</s>"], around, bos_token="<s>", eos_token="</s>")


def plain_bytes():
    return bytes_bpe(["<|endoftext|>"], pad_token="<|endoftext|>", eos_token="<|endoftext|>")


FAMILIES = {
    "bert": (lambda: tr.BertModel(tr.BertConfig(**TINY)), wordpiece),
    "electra": (lambda: tr.ElectraModel(tr.ElectraConfig(**TINY, embedding_size=16)), wordpiece),
    "roberta": (lambda: tr.RobertaModel(tr.RobertaConfig(**TINY, max_position_embeddings=66)), roberta_bytes),
    "xlm-roberta": (lambda: tr.XLMRobertaModel(tr.XLMRobertaConfig(**TINY, max_position_embeddings=66)), sentencepiece),
    "qwen2": (lambda: tr.Qwen2ForCausalLM(tr.Qwen2Config(**ROTARY)), plain_bytes),
    "llama": (lambda: tr.LlamaForCausalLM(tr.LlamaConfig(**ROTARY)), with_bos),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A function that makes, once, the folder of a tiny random model with attention that is far from uniform."""
    made = {}

    def make(family):
        if family not in made:
            build, tokenizer = FAMILIES[family]
            torch.manual_seed(3)
            model = build()
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    if any(part in name for part in ("query", "key", "q_proj", "k_proj")):
                        weight.mul_(12.0)
            made[family] = tmp_path_factory.mktemp(family)
            model.save_pretrained(made[family])
            tokenizer().save_pretrained(made[family])
        return str(made[family])

    return make


def library(path, text, layers=(-4, -3, -2, -1)):
    """[T, D] of the sentence's own tokens, with the library's classes and no padding."""
    tokenizer, model = tr.AutoTokenizer.from_pretrained(path), tr.AutoModel.from_pretrained(path).eval()
    inputs = tokenizer(text, return_tensors="pt", return_special_tokens_mask=True)
    own = inputs.pop("special_tokens_mask")[0] == 0
    with torch.inference_mode():
        states = model(**inputs, output_hidden_states=True).hidden_states
    return torch.stack(states)[list(layers)].sum(0)[0][own].numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_equal_the_library_alone_and_in_mixed_batches(folder, family):
    path = folder(family)
    encoder = load_text_encoder(TextParams(encoder=path))
    together = encoder.encode(SENTENCES)
    split = load_text_encoder(TextParams(encoder=path, batch_tokens=20)).encode(SENTENCES)
    for text, batched, small in zip(SENTENCES, together, split, strict=True):
        if not text.strip():
            assert not batched.ok
            continue
        expected = library(path, text)
        alone = encoder.encode([text])[0]
        assert batched.frames == len(expected)
        for features in (batched, alone, small):
            assert np.abs(features.embedding - expected.mean(0)).max() < 1e-4


def test_special_tokens_stay_out_of_the_mean_even_where_there_is_one(folder):
    encoder = load_text_encoder(TextParams(encoder=folder("bert"), frames=True))
    features = encoder.encode(["好"])[0]
    assert features.values.shape == (1, 32)
    assert features.frames == 1


def test_layers_are_blocks_counted_from_either_end(folder):
    path, text = folder("bert"), SENTENCES[2]
    first = load_text_encoder(TextParams(encoder=path, layers=(0, 2))).encode([text])[0].embedding
    assert np.abs(first - library(path, text, layers=(1, 3)).mean(0)).max() < 1e-4
    with pytest.raises(MerError, match=r"text\.layers: 5 is out of range, .* has 5 blocks"):
        load_text_encoder(TextParams(encoder=path, layers=(5,)))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_ten_thousand_characters_are_cut_to_what_the_model_takes(folder, family):
    longest = {"bert": 512, "roberta": 64}[family]
    long, short = load_text_encoder(TextParams(encoder=folder(family))).encode(["happy today " * 850, "happy"])
    assert (long.ok, long.frames, long.note) == (True, longest - 2, f"only the first {longest - 2} tokens")
    assert short.note == ""


def test_rotary_models_take_ten_thousand_characters_whole(folder):
    features = load_text_encoder(TextParams(encoder=folder("qwen2"))).encode(["today, " * 1430])[0]
    assert (features.frames > 1430, features.note) == (True, "")


def test_text_of_unknown_words_only_is_absent_and_one_known_word_is_enough(folder):
    encoder = load_text_encoder(TextParams(encoder=folder("bert")))
    unknown, known = encoder.encode(["🙂 🙂", "🙂 happy"])
    assert (unknown.ok, unknown.note) == (False, "no token of the text is in the vocabulary")
    assert known.ok


def test_bfloat16_keeps_the_direction(folder):
    a, b = (
        load_text_encoder(TextParams(encoder=folder("qwen2"), dtype=dtype)).encode([SENTENCES[2]])[0].embedding
        for dtype in ("float32", "bfloat16")
    )
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.99


def test_fingerprint_follows_weights_tokenizer_layers_and_precision(folder):
    path = folder("bert")
    base = load_text_encoder(TextParams(encoder=path)).fingerprint
    assert load_text_encoder(TextParams(encoder=path, batch_tokens=7)).fingerprint == base
    others = [TextParams(encoder=path, layers=(-1,)), TextParams(encoder=path, dtype="bfloat16")]
    others += [TextParams(encoder=folder("electra"))]
    assert base not in [load_text_encoder(other).fingerprint for other in others]


def test_nothing_is_encoded_to_nothing(folder):
    assert load_text_encoder(TextParams(encoder=folder("bert"))).encode([]) == []


def test_folders_of_another_kind_are_one_clear_line(folder, tmp_path):
    with pytest.raises(MerError, match=r"text\.encoder: 'nowhere' is neither 'tfidf' nor a Hugging Face folder"):
        load_text_encoder(TextParams(encoder="nowhere"))
    with pytest.raises(MerError, match=r"text\.encoder: .* has no config\.json"):
        load_text_encoder(TextParams(encoder=str(tmp_path)))
    tr.ViTConfig().save_pretrained(tmp_path)
    with pytest.raises(MerError, match="holds 'vit', which is neither a BERT nor a decoder"):
        load_text_encoder(TextParams(encoder=str(tmp_path)))
    tr.BertConfig(**TINY).save_pretrained(tmp_path)
    with pytest.raises(MerError, match=r"text\.encoder: .*: no usable tokenizer"):
        load_text_encoder(TextParams(encoder=str(tmp_path)))
    wordpiece().save_pretrained(tmp_path)
    with pytest.raises(MerError, match=r"text\.encoder: .*no file named"):
        load_text_encoder(TextParams(encoder=str(tmp_path))).encode(["happy"])
    tr.BertModel(tr.BertConfig(**TINY | {"vocab_size": 10})).save_pretrained(tmp_path)
    with pytest.raises(MerError, match=r"the tokenizer has \d+ words, the model 10"):
        load_text_encoder(TextParams(encoder=str(tmp_path))).encode(["happy"])
    tr.ElectraModel(tr.ElectraConfig(**TINY)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(MerError, match=r"text\.encoder: .*another kind of model"):
        load_text_encoder(TextParams(encoder=str(tmp_path))).encode(["happy"])


def test_code_in_a_folder_runs_only_where_params_say_so(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.OwnModel"}})
    )
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(MerError, match=r"text\.encoder"):
        load_text_encoder(TextParams(encoder=str(tmp_path)))
    assert not (tmp_path / "ran").exists()


def test_trusted_code_with_nothing_but_a_language_head_is_encoded(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    path = tmp_path / "own"
    tr.Qwen2ForCausalLM.from_pretrained(folder("qwen2")).save_pretrained(path)
    plain_bytes().save_pretrained(path)
    config = json.loads((path / "config.json").read_text()) | {"model_type": "own_qwen"}
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    (path / "config.json").write_text(json.dumps(config))
    (path / "own.py").write_text(
        "from transformers import Qwen2Config, Qwen2ForCausalLM\n"
        "class OwnConfig(Qwen2Config):\n    model_type = 'own_qwen'\n"
        "class OwnForCausalLM(Qwen2ForCausalLM):\n    config_class = OwnConfig\n"
    )
    features = load_text_encoder(TextParams(encoder=str(path), trust_remote_code=True)).encode([SENTENCES[0]])[0]
    ids = torch.tensor([plain_bytes()(SENTENCES[0])["input_ids"]])
    with torch.inference_mode():
        states = tr.Qwen2Model.from_pretrained(folder("qwen2"))(ids, output_hidden_states=True).hidden_states
    assert np.abs(features.embedding - sum(states[-4:])[0].mean(0).numpy()).max() < 1e-4
