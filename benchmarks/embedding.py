"""Measure embedding on this machine: batches of like length against plain `SentenceTransformer.encode`.

    python benchmarks/embedding.py [--texts N] [--threads N] [--model NAME] [--json]

Both embed the same texts in the same order, one after the other in one process: paragraphs of the documentation inside
the installed packages. `encode` is called as its documentation shows, and once more with the whole list and the batch
size that is fastest of 8, 16, 32 and 64. The report has texts per second and the smallest cosine between the vectors.
"""

import argparse
import inspect
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from factory.memory.embedding.local import LocalEmbedder
from factory.memory.embedding.model import Vectors, unit_length
from factory.memory.embedding.weights import model_folder
from factory.settings import DEFAULT_EMBEDDING_MODEL

_MODULES = ("numpy", "pydantic", "ray", "ray.data", "pyarrow", "fsspec", "typer", "torch", "torch.nn", "logging")
_SHORTEST = 40


def documentation() -> Iterator[str]:
    """Yield paragraphs of docstrings, each once."""
    seen = set()
    for name in _MODULES:
        module = __import__(name, fromlist=["_"])
        for attribute in sorted(vars(module)):
            text = inspect.getdoc(getattr(module, attribute)) or ""
            for paragraph in text.split("\n\n"):
                if len(paragraph) >= _SHORTEST and paragraph not in seen:
                    seen.add(paragraph)
                    yield paragraph


def texts_per_second(embed: Callable[[list[str]], Vectors], texts: list[str]) -> tuple[float, Vectors]:
    """Return the rate of one pass over all texts, after a short one that warms up."""
    embed(texts[:64])
    begun = time.perf_counter()
    vectors = embed(texts)
    return round(len(texts) / (time.perf_counter() - begun), 1), vectors


def measure(count: int, threads: int, model: str, precision: str) -> dict[str, object]:
    """Return rates and agreement."""
    torch.set_num_threads(threads)
    texts = list(itertools.islice(documentation(), count))
    random.Random(1).shuffle(texts)  # noqa: S311 - an order that can be had again
    plain = SentenceTransformer(str(model_folder(model)))
    ours = LocalEmbedder(model, precision=precision, threads=threads)

    def encode(batch: int) -> Callable[[list[str]], Vectors]:
        return lambda some: unit_length(plain.encode(some, batch_size=batch, show_progress_bar=False))

    def arrival(some: list[str]) -> Vectors:
        parts = (plain.encode(some[i : i + 32], show_progress_bar=False) for i in range(0, len(some), 32))
        return unit_length(np.concatenate(list(parts)))

    loop, _ = texts_per_second(arrival, texts)
    default, expected = texts_per_second(encode(32), texts)
    best = max(default, *(texts_per_second(encode(batch), texts)[0] for batch in (8, 16, 64)))
    factory, vectors = texts_per_second(ours.embed, texts)
    return {
        "texts": len(texts),
        "mean_tokens": round(float(np.mean([ours.count_tokens(text) for text in texts])), 1),
        "threads": threads,
        "device": str(plain.device),
        "texts_per_second": {
            "factory": factory,
            "encode_in_arrival_order": loop,
            "encode": default,
            "encode_best_batch_size": best,
        },
        "smallest_cosine": round(float((vectors * expected).sum(axis=1).min()), 6),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--texts", type=int, default=2000, help="most texts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--model", default=DEFAULT_EMBEDDING_MODEL)
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16", "float16"])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.texts < 1 or options.threads < 1:
        print("--texts and --threads must be at least 1.", file=sys.stderr)
        raise SystemExit(2)
    report = measure(options.texts, options.threads, options.model, options.precision)
    if options.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
