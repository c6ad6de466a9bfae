"""Embedders: texts to vectors, by a model on this machine or by an endpoint that speaks OpenAI's protocol."""

from factory.memory.embedding.load import DEFAULT_MODEL, EmbedderSpec, load_embedder
from factory.memory.embedding.model import Embedder, EmbeddingModel, Vectors

__all__ = ["DEFAULT_MODEL", "Embedder", "EmbedderSpec", "EmbeddingModel", "Vectors", "load_embedder"]
