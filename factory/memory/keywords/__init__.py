"""Keyword search: the words that text is cut into, and the BM25 index of a shard."""
