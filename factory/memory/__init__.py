"""Semantic memory: documents in chunks, their embeddings in immutable segments, searched in shards."""
