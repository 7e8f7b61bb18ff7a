"""Sentence embeddings: TF-IDF fitted on the corpus, or a pretrained language model."""
