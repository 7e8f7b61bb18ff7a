"""From a waveform to a speech embedding: checkpoints, models of HuBERT's kin and Whisper, windows, layers, pooling."""

from mer.encoders.speech.encoder import SpeechEncoder, load_speech_encoder

__all__ = ["SpeechEncoder", "load_speech_encoder"]
