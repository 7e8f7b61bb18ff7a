"""Vision folders against transformers' own processor and model, one image at a time."""

import numpy as np
import pytest
import torch
import transformers as tr
from PIL import Image

from mer.encoders.face.load import load_face_encoder
from mer.encoders.face.preprocess import Preprocessing, read_preprocessing
from mer.encoders.face.resample import resize
from mer.errors import MerError
from mer.params import FaceParams

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
VISION = TINY | {"image_size": 30, "patch_size": 10}
SHORT = {"size": {"shortest_edge": 34}, "crop_size": {"height": 30, "width": 30}}
SQUARE = {"size": {"height": 30, "width": 30}, "crop_size": {"height": 30, "width": 30}}


def clip():
    text = TINY | {"vocab_size": 50, "max_position_embeddings": 8}
    config = tr.CLIPConfig(text_config=text, vision_config=VISION | {"projection_dim": 20}, projection_dim=20)
    return tr.CLIPModel(config), tr.CLIPImageProcessorPil(**SHORT)


def clip_vision():
    config = tr.CLIPVisionConfig(**VISION, projection_dim=20)
    return tr.CLIPVisionModelWithProjection(config), tr.CLIPImageProcessorPil(**SHORT)


def clip_with_gelu():
    config = tr.CLIPVisionConfig(**VISION, projection_dim=20, hidden_act="gelu")
    return tr.CLIPVisionModelWithProjection(config), tr.CLIPImageProcessorPil(**SHORT)


def vit():
    return tr.ViTModel(tr.ViTConfig(**VISION)), tr.ViTImageProcessorPil(**SQUARE)


def vit_classifier():
    return tr.ViTForImageClassification(tr.ViTConfig(**VISION)), tr.ViTImageProcessorPil(**SQUARE, resample=3)


def dinov2():
    config = tr.Dinov2Config(**{k: v for k, v in VISION.items() if k != "intermediate_size"}, mlp_ratio=2)
    return tr.Dinov2Model(config), tr.BitImageProcessorPil(**SHORT)


def data2vec():
    return tr.Data2VecVisionModel(tr.Data2VecVisionConfig(**VISION)), tr.BeitImageProcessorPil(**SQUARE)


def videomae():
    config = tr.VideoMAEConfig(**VISION, num_frames=4, tubelet_size=2)
    return tr.VideoMAEModel(config), tr.VideoMAEImageProcessorPil(**SHORT)


IMAGE_MODELS = [clip, clip_vision, clip_with_gelu, vit, vit_classifier, dinov2, data2vec]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A function that makes, once, the folder of a tiny random model with attention that is far from uniform."""
    made = {}

    def make(build):
        if build not in made:
            torch.manual_seed(1)
            model, processor = build()
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    if weight.ndim > 1:
                        weight.mul_(8.0 if "query" in name or "key" in name or "q_proj" in name else 3.0)
            made[build] = tmp_path_factory.mktemp(build.__name__)
            model.save_pretrained(made[build])
            processor.save_pretrained(made[build])
        return str(made[build])

    return make


def crops(count, seed=0, side=56):
    """Noise with contrast at every scale, so that resampling shows."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, side // 8, side // 8, 3), dtype=np.uint8)
    fine = rng.integers(-60, 60, (count, side, side, 3))
    return np.clip(coarse.repeat(8, axis=1).repeat(8, axis=2) + fine, 0, 255).astype(np.uint8)


def library(folder, images):
    """Vectors [n, D] as transformers makes them, one image at a time."""
    processor = tr.AutoImageProcessor.from_pretrained(folder, backend="pil")
    if tr.AutoConfig.from_pretrained(folder).model_type.startswith("clip"):
        model = tr.CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    else:
        model = tr.AutoModel.from_pretrained(folder).eval()
    vectors = []
    for image in images:
        with torch.inference_mode():
            output = model(**processor(Image.fromarray(image), return_tensors="pt"))
        vectors.append(output.image_embeds[0] if "image_embeds" in output else output.last_hidden_state[0].mean(0))
    return torch.stack(vectors).numpy()


@pytest.mark.parametrize("build", IMAGE_MODELS)
def test_embeddings_equal_the_library_alone_and_in_mixed_batches(folder, build):
    path = folder(build)
    batch = [crops(3, 1), crops(0), crops(1, 2), crops(6, 3)]
    expected = [library(path, item) if len(item) else np.zeros((0, 1)) for item in batch]
    assert np.ptp(np.concatenate([e for e in expected if len(e)]), axis=0).max() > 0.1  # the images do differ
    encoder = load_face_encoder(FaceParams(encoder=path, pooling="mean", batch_frames=4))
    for features, alone, vectors in zip(
        encoder.encode(batch), [encoder.encode([item])[0] for item in batch], expected, strict=True
    ):
        assert features.ok == bool(len(vectors))
        assert features.frames == len(vectors)
        if len(vectors):
            assert np.abs(features.embedding - vectors.mean(0)).max() < 1e-4
            assert np.abs(alone.embedding - vectors.mean(0)).max() < 1e-4


def test_videomae_sees_the_clip_as_a_video(folder):
    path = folder(videomae)
    batch = [crops(4, 1), crops(0), crops(9, 2), crops(2, 3)]
    processor = tr.AutoImageProcessor.from_pretrained(path, backend="pil")
    model = tr.AutoModel.from_pretrained(path).eval()
    encoder = load_face_encoder(FaceParams(encoder=path, batch_frames=8))
    results = encoder.encode(batch)
    assert [features.frames for features in results] == [4, 0, 9, 2]
    for item, chosen, features in zip(batch, ([0, 1, 2, 3], [], [0, 3, 5, 8], [0, 0, 1, 1]), results, strict=True):
        if not chosen:
            assert not features.ok
            continue
        with torch.inference_mode():
            inputs = processor([Image.fromarray(item[i]) for i in chosen], return_tensors="pt")
            expected = model(**inputs).last_hidden_state[0].mean(0).numpy()
        assert np.abs(features.embedding - expected).max() < 1e-4


@pytest.mark.parametrize(
    "processor",
    [
        tr.CLIPImageProcessorPil(),
        tr.CLIPImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 33, "width": 47}),
        tr.CLIPImageProcessorPil(do_resize=False, crop_size={"height": 71, "width": 30}),
        tr.ViTImageProcessorPil(size={"height": 64, "width": 64}, do_rescale=False),
        tr.ViTImageProcessorPil(size={"height": 20, "width": 20}, resample=1, do_normalize=False),
        tr.BeitImageProcessorPil(do_center_crop=True),
        tr.BitImageProcessorPil(image_mean=0.5, image_std=0.25),
    ],
)
def test_pixel_values_are_those_of_the_image_processor(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    images = crops(3)
    expected = processor([Image.fromarray(image) for image in images], return_tensors="pt")["pixel_values"]
    ours = read_preprocessing(str(tmp_path), "face.encoder")(images, torch.device("cpu"))
    assert ours.shape == expected.shape
    assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("resample", [1, 2, 3])
@pytest.mark.parametrize(("before", "after"), [(112, 224), (97, 31), (16, 500), (300, 33), (40, 40)])
def test_resampling_is_pillows_bit_for_bit(resample, before, after):
    images = np.random.default_rng(0).integers(0, 2, (2, before, before, 3), dtype=np.uint8) * 255
    images[1] = crops(1, side=8 * (before // 8 + 1))[0, :before, :before]
    expected = np.stack([np.asarray(Image.fromarray(image).resize((after, after), resample)) for image in images])
    ours = resize(torch.from_numpy(images).permute(0, 3, 1, 2), after, resample)
    assert np.array_equal(ours.permute(0, 2, 3, 1).numpy(), expected)


def test_bfloat16_keeps_the_direction(folder):
    full = load_face_encoder(FaceParams(encoder=folder(clip_vision), pooling="mean")).encode([crops(5)])[0]
    half = load_face_encoder(FaceParams(encoder=folder(clip_vision), pooling="mean", dtype="bfloat16"))
    embedding = half.encode([crops(5)])[0].embedding
    cosine = embedding @ full.embedding / np.linalg.norm(embedding) / np.linalg.norm(full.embedding)
    assert cosine > 0.995


def test_features_of_frames_are_those_of_the_crops(folder):
    features = load_face_encoder(FaceParams(encoder=folder(vit), frames=True)).encode([crops(3)])[0]
    assert features.values.dtype == np.float16
    assert np.abs(features.values - library(folder(vit), crops(3))).max() < 1e-2


def test_fingerprint_follows_the_weights_the_processor_and_the_precision(folder, tmp_path):
    base = load_face_encoder(FaceParams(encoder=folder(vit)))
    assert load_face_encoder(FaceParams(encoder=folder(vit), batch_frames=3)).fingerprint == base.fingerprint
    assert load_face_encoder(FaceParams(encoder=folder(vit), dtype="bfloat16")).fingerprint != base.fingerprint
    model, _ = vit()
    model.save_pretrained(tmp_path)
    tr.ViTImageProcessorPil(**SQUARE).save_pretrained(tmp_path)
    assert load_face_encoder(FaceParams(encoder=str(tmp_path))).fingerprint != base.fingerprint


def test_a_folder_of_text_is_no_face_encoder(tmp_path):
    tr.BertModel(tr.BertConfig(**TINY, vocab_size=20)).save_pretrained(tmp_path)
    with pytest.raises(MerError, match=r"face\.encoder: .* holds 'bert', which is no vision transformer"):
        load_face_encoder(FaceParams(encoder=str(tmp_path)))


def test_what_a_folder_lacks_is_named(tmp_path):
    params = FaceParams(encoder=str(tmp_path))
    with pytest.raises(MerError, match=r"face\.encoder: .* has no config\.json"):
        load_face_encoder(params)
    tr.ViTConfig(**VISION).save_pretrained(tmp_path)
    with pytest.raises(MerError, match=r"face\.encoder: .*preprocessor_config\.json"):
        load_face_encoder(params)
    tr.ViTImageProcessorPil(size={"longest_edge": 30}).save_pretrained(tmp_path)
    with pytest.raises(MerError, match="is no square"):
        load_face_encoder(params)
    tr.ViTImageProcessorPil(**SQUARE).save_pretrained(tmp_path)
    with pytest.raises(MerError, match=r"face\.encoder: .*no file named"):
        load_face_encoder(params).encode([crops(1)])


def test_a_clip_tower_without_its_projection_is_refused(tmp_path):
    tr.CLIPVisionModel(tr.CLIPVisionConfig(**VISION)).save_pretrained(tmp_path)
    tr.CLIPImageProcessorPil(**SHORT).save_pretrained(tmp_path)
    with pytest.raises(MerError, match=r"another kind of model: 'visual_projection\.weight' is missing or"):
        load_face_encoder(FaceParams(encoder=str(tmp_path))).encode([crops(1)])


def test_a_processor_that_does_more_than_the_batch_is_refused(tmp_path):
    tr.ConvNextImageProcessorPil().save_pretrained(tmp_path)  # resizes in a way of its own
    with pytest.raises(MerError, match="not a processor of faces that can be batched"):
        read_preprocessing(str(tmp_path), "face.encoder")


def test_preprocessing_never_changes_the_crops():
    images = crops(2)
    before = images.copy()
    Preprocessing(None, None, 2, 1.0, (1.0, 1.0, 1.0), (2.0, 2.0, 2.0))(images, torch.device("cpu"))
    assert np.array_equal(images, before)
