"""A folder on any fsspec URL, as a value that travels between processes."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import fsspec  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Folder:
    """Where a store keeps its files; subclasses say what they guarantee of them.

    Attributes:
        url: A path or an fsspec URL such as `file:///srv/blobs` or `abfs://container/blobs`.
        options: What fsspec needs beside the URL, such as credentials.
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @property
    def _root(self) -> str:
        return self._opened[1]

    @property
    def _filesystem(self) -> Any:  # noqa: ANN401 - fsspec is untyped
        return self._opened[0]

    @functools.cached_property
    def _opened(self) -> tuple[Any, str]:
        filesystem, root = fsspec.core.url_to_fs(self.url, **self.options)
        return filesystem, str(root).rstrip("/")

    def __getstate__(self) -> dict[str, Any]:
        """Leave the opened file system behind: connections do not travel between processes."""
        return {"url": self.url, "options": dict(self.options)}
