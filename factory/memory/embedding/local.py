"""Embedding on this machine with sentence-transformers' models, in batches of like length."""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers.utils.logging import disable_progress_bar

from factory.domain.errors import BadInputError
from factory.memory.embedding.batches import batches_by_length
from factory.memory.embedding.model import EmbeddingModel, Vectors, unit_length, well_formed
from factory.memory.embedding.tokens import TokenCounter
from factory.memory.embedding.weights import model_folder, model_name

# Tokens of one batch with its padding. A CPU's caches hold the activations of about a thousand tokens of a small model;
# a GPU wants to be filled.
CPU_TOKEN_BUDGET = 1_024
GPU_TOKEN_BUDGET = 65_536
# Texts tokenised at one time: bounds memory, and is enough for batches of like length.
_WINDOW = 8_192
# Some tokenizers say they have no limit, as a number with thirty digits.
_NO_LIMIT = 1_000_000


class LocalEmbedder:
    """A sentence-transformers model.

    A model that is a transformer with mean pooling, as most are, is run here: `encode` would batch by a fixed number
    of texts sorted by characters, which pads up to twice as many tokens, and would pool in the precision of the model.
    Any other model is run by `encode`, in float32.

    Args:
        name: See `load_embedder`.
        device: None takes a GPU where there is one.
        precision: `auto`, `float32`, `bfloat16` or `float16`.
        threads: Cores for this process; None leaves torch's choice.
        token_budget: Most tokens of one batch; None takes what suits the device.

    Raises:
        BadInputError: See `load_embedder`.
    """

    def __init__(
        self,
        name: str,
        *,
        device: str | None = None,
        precision: str = "auto",
        threads: int | None = None,
        token_budget: int | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
            # Read once, by the tokenizer's pool, at its first batch.
            os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
        folder = model_folder(name)
        # It is read in a second, and would be drawn across whatever else is on the terminal.
        disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self._model = SentenceTransformer(str(folder), device=device, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise BadInputError(
                f"the embedding model {name!r} in {folder} cannot be loaded: {error}",
                remedy="Give a folder or a hub name of a sentence-transformers model, and a device that exists.",
                field="embedding_model",
            ) from error
        self._model.eval()
        self._device: torch.device = self._model.device
        self._budget = token_budget or (CPU_TOKEN_BUDGET if self._device.type == "cpu" else GPU_TOKEN_BUDGET)
        tokenizer = _fast_tokenizer(self._model)
        self._count = TokenCounter(tokenizer) if tokenizer is not None else _slow_counter(self._model)
        max_tokens = _max_tokens(self._model)
        self._forward = None
        if tokenizer is not None and _is_mean_pooled_transformer(self._model):
            dtype = _dtype(precision, self._device)
            self._forward = _MeanPooledTransformer(self._model, tokenizer, max_tokens, dtype)
        self.model = EmbeddingModel(name=model_name(name), dimension=_dimension(self._model), max_tokens=max_tokens)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector per text; see `Embedder.embed`."""
        result = np.empty((len(texts), self.model.dimension), dtype=np.float32)
        for start in range(0, len(texts), _WINDOW):
            window = [well_formed(text) for text in texts[start : start + _WINDOW]]
            result[start : start + len(window)] = self._embed(window)
        return result

    def count_tokens(self, text: str) -> int:
        """Return the length of a text in tokens; see `Embedder.count_tokens`."""
        return self._count(text)

    def _embed(self, texts: list[str]) -> Vectors:
        if self._forward is not None:
            return self._forward(texts, self._budget)
        size = max(1, self._budget // min(self.model.max_tokens, 256))
        return unit_length(self._model.encode(texts, batch_size=size, show_progress_bar=False, convert_to_numpy=True))


class _MeanPooledTransformer:
    """The forward pass of tokenizer, transformer and mean pooling."""

    def __init__(self, model: SentenceTransformer, tokenizer: Any, max_tokens: int, dtype: torch.dtype) -> None:  # noqa: ANN401 - tokenizers' class, imported late
        transformer: Any = model[0]
        self._transformer = transformer.auto_model.to(dtype)
        self._pad_id = transformer.tokenizer.pad_token_id or 0
        self._pad_type = getattr(transformer.tokenizer, "pad_token_type_id", 0)
        self._has_types = "token_type_ids" in transformer.tokenizer.model_input_names
        self._device = model.device
        self._dimension = _dimension(model)
        # Of its own, because truncation and padding are state of a tokenizer that others may set.
        self._tokenizer = type(tokenizer).from_str(tokenizer.to_str())
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()

    def __call__(self, texts: list[str], budget: int) -> Vectors:
        """Return one unit vector per text.

        Args:
            texts: Well-formed.
            budget: Most tokens of one batch with its padding.
        """
        encoded = self._tokenizer.encode_batch_fast(texts)
        pooled = torch.empty((len(texts), self._dimension), dtype=torch.float32, device=self._device)
        with torch.inference_mode():
            for places in batches_by_length([len(entry) for entry in encoded], budget):
                inputs, mask = self._inputs([encoded[place] for place in places])
                hidden = self._transformer(**inputs).last_hidden_state.float()
                weights = mask.unsqueeze(-1).float()
                summed = (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)
                pooled[torch.from_numpy(places).to(self._device)] = summed
        return unit_length(pooled.cpu().numpy())

    def _inputs(self, batch: list[Any]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        shape = (len(batch), len(batch[0]))  # the longest comes first
        ids = np.full(shape, self._pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        types = np.full(shape, self._pad_type, dtype=np.int64)
        for row, entry in enumerate(batch):
            length = len(entry)
            ids[row, :length] = entry.ids
            mask[row, :length] = 1
            types[row, :length] = entry.type_ids
        attention = torch.from_numpy(mask).to(self._device)
        inputs = {"input_ids": torch.from_numpy(ids).to(self._device), "attention_mask": attention}
        if self._has_types:
            inputs["token_type_ids"] = torch.from_numpy(types).to(self._device)
        return inputs, attention


def _dimension(model: SentenceTransformer) -> int:
    found = model.get_embedding_dimension()
    return found if found is not None else len(model.encode("dimension"))


def _fast_tokenizer(model: SentenceTransformer) -> Any | None:  # noqa: ANN401 - tokenizers' class, imported late
    tokenizer = getattr(model, "tokenizer", None)
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    return backend if hasattr(backend, "encode_batch_fast") else None


def _slow_counter(model: SentenceTransformer) -> Callable[[str], int]:
    lock = threading.Lock()

    def count(text: str) -> int:
        with lock:
            return len(model.tokenizer(well_formed(text), truncation=False, verbose=False)["input_ids"])

    return count


def _max_tokens(model: SentenceTransformer) -> int:
    limit = getattr(model, "max_seq_length", None)
    if limit is None or limit > _NO_LIMIT:
        config = getattr(getattr(model[0], "auto_model", None), "config", None)
        limit = getattr(config, "max_position_embeddings", None) or _NO_LIMIT
    return int(limit)


def _is_mean_pooled_transformer(model: SentenceTransformer) -> bool:
    modules: list[Any] = list(model)
    kinds = [type(module) for module in modules]
    if kinds not in ([Transformer, Pooling], [Transformer, Pooling, Normalize]):
        return False
    transformer, pooling = modules[:2]
    return bool(
        pooling.pooling_mode == "mean"
        and transformer.backend == "torch"
        and transformer.modality_config.get("text") == {"method": "forward", "method_output_name": "last_hidden_state"}
        and not transformer.do_lower_case
        and model.default_prompt_name is None
        and model.truncate_dim is None
    )


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision != "auto":
        dtype: torch.dtype = getattr(torch, precision)
        return dtype
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu":
        # Without such instructions bfloat16 is emulated, and slower than float32.
        capabilities = torch.cpu.get_capabilities()
        if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"):
            return torch.bfloat16
    return torch.float32
