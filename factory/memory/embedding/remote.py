"""Embedding by an endpoint that speaks OpenAI's `/v1/embeddings`: OpenAI, vLLM, Ollama, or the factory's own."""

import base64
from collections.abc import Iterator, Sequence
from http import HTTPStatus

import numpy as np
import openai
from openai.types import CreateEmbeddingResponse

from factory.domain.errors import BadInputError, ErrorCategory, RetryableError, TerminalError
from factory.memory.embedding.model import EmbeddingModel, Vectors, unit_length, well_formed

# OpenAI takes 2,048 texts and 300,000 tokens in one request; others often 512 texts and less.
_TEXTS_PER_REQUEST = 256
_TOKENS_PER_REQUEST = 100_000
# Tokens of English are about 4 bytes, of code and of most other scripts about 3.
_BYTES_PER_TOKEN = 3
_UNKNOWN_LIMIT = 512
_RETRIES = 6
_SECONDS = 60.0
_OVERLOADED = frozenset((HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS))
_REFUSED_CONTENT = frozenset(
    (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
)
_REMEDY = "Check FACTORY_EMBEDDING_URL, FACTORY_EMBEDDING_API_KEY and FACTORY_EMBEDDING_MODEL."


def estimated_tokens(text: str) -> int:
    """Return an estimate from the length in bytes: an endpoint does not tell its tokens beforehand."""
    return -(-len(well_formed(text).encode()) // _BYTES_PER_TOKEN)


class RemoteEmbedder:
    """An endpoint's model.

    Requests that meet overload, a server's error or a lost connection are tried again with growing pauses, as long as
    the server asks for. The endpoint is asked once for a vector when this is made, to learn its dimension, and for the
    model's length limit (`max_model_len`, as vLLM tells it); a model of unknown limit is taken to read 512 tokens.

    Args:
        name: What the endpoint calls the model.
        url: Up to and with `/v1`.
        api_key: None where the endpoint wants none.
        max_tokens: Longest text; None asks the endpoint.
        retries: Further tries of a request.
        seconds: Longest wait for one answer.

    Raises:
        BadInputError: The URL is none.
        RetryableError: The endpoint cannot be reached or is overloaded.
        TerminalError: It refuses the key or the model, or answers with something else than vectors.
    """

    def __init__(
        self,
        name: str,
        url: str,
        api_key: str | None = None,
        *,
        max_tokens: int | None = None,
        retries: int = _RETRIES,
        seconds: float = _SECONDS,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise BadInputError(
                f"{url!r} is not the address of an endpoint.",
                remedy="Give one such as https://host/v1.",
                field="embedding_url",
            )
        self._name = name
        self._url = url
        self._client = openai.OpenAI(base_url=url, api_key=api_key or "none", max_retries=retries, timeout=seconds)
        dimension = self._request(["dimension"]).shape[1]
        limit = max_tokens or self._length_limit() or _UNKNOWN_LIMIT
        self.model = EmbeddingModel(name=name, dimension=dimension, max_tokens=limit)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector per text; see `Embedder.embed`.

        Raises:
            RetryableError: The endpoint cannot be reached or is overloaded, after all retries.
            TerminalError: It refuses the key, the model or, with the category poison, one of the texts; or its answer
                is not what was asked for.
        """
        result = np.empty((len(texts), self.model.dimension), dtype=np.float32)
        start = 0
        for batch in self._batches(texts):
            vectors = self._request(batch)
            if vectors.shape[1] != self.model.dimension:
                raise self._unusable(f"vectors of {vectors.shape[1]} components after {self.model.dimension}")
            result[start : start + len(batch)] = vectors
            start += len(batch)
        return unit_length(result)

    def count_tokens(self, text: str) -> int:
        """Return `estimated_tokens`."""
        return estimated_tokens(text)

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        batch: list[str] = []
        tokens = 0
        for text in texts:
            sent = self._truncated(text)
            length = estimated_tokens(sent)
            if batch and (len(batch) == _TEXTS_PER_REQUEST or tokens + length > _TOKENS_PER_REQUEST):
                yield batch
                batch, tokens = [], 0
            batch.append(sent)
            tokens += length
        if batch:
            yield batch

    def _truncated(self, text: str) -> str:
        data = well_formed(text).encode()
        limit = self.model.max_tokens * _BYTES_PER_TOKEN
        # OpenAI refuses an empty text.
        return data[:limit].decode(errors="ignore") or " "

    def _request(self, texts: list[str]) -> Vectors:
        try:
            answer = self._client.embeddings.create(model=self._name, input=texts, encoding_format="base64")
        except openai.OpenAIError as error:
            raise self._classified(error) from error
        return self._vectors(answer, len(texts))

    def _vectors(self, answer: CreateEmbeddingResponse, expected: int) -> Vectors:
        entries = sorted(answer.data or [], key=lambda entry: entry.index)
        if [entry.index for entry in entries] != list(range(expected)):
            raise self._unusable(f"{len(entries)} vectors for {expected} texts")
        try:
            rows = [_decoded(entry.embedding) for entry in entries]
        except ValueError as error:
            raise self._unusable(f"a vector that cannot be read ({error})") from error
        lengths = {len(row) for row in rows}
        if len(lengths) > 1 or 0 in lengths:
            raise self._unusable(f"vectors of {sorted(lengths)} components")
        return np.stack(rows)

    def _length_limit(self) -> int | None:
        try:
            described = self._client.with_options(max_retries=0).models.retrieve(self._name)
        except openai.OpenAIError:
            return None  # not every server describes its models
        limit = (described.model_extra or {}).get("max_model_len")
        return limit if isinstance(limit, int) and limit > 0 else None

    def _classified(self, error: openai.OpenAIError) -> RetryableError | TerminalError:
        where = f"the embedding endpoint {self._url}"
        if isinstance(error, openai.APITimeoutError):
            return RetryableError(f"{where} did not answer in time.", category=ErrorCategory.TIMEOUT)
        if isinstance(error, openai.APIStatusError):
            return _refused(error, f"{where} answered with {error.status_code}: {error.message}")
        if isinstance(error, openai.APIConnectionError):
            return RetryableError(f"{where} cannot be reached: {error.__cause__ or error}", remedy=_REMEDY)
        return self._unusable(str(error))

    def _unusable(self, what: str) -> TerminalError:
        return TerminalError(
            f"the embedding endpoint {self._url} answered for the model {self._name!r} with {what}.",
            category=ErrorCategory.VALIDATION,
            remedy=_REMEDY,
        )


def _refused(error: openai.APIStatusError, told: str) -> RetryableError | TerminalError:
    if error.code == "insufficient_quota":
        return TerminalError(told, category=ErrorCategory.BUDGET, remedy="Raise the account's quota.")
    if error.status_code in _OVERLOADED or error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RetryableError(told)
    if error.status_code in _REFUSED_CONTENT:
        return TerminalError(told, category=ErrorCategory.POISON)
    return TerminalError(told, category=ErrorCategory.DEPENDENCY, remedy=_REMEDY)


def _decoded(embedding: list[float] | str) -> Vectors:
    """Return a vector from base64 of little-endian float32, or from a list, as servers without base64 answer."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
    return np.asarray(embedding, dtype=np.float32)
