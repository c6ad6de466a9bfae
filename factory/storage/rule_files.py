"""Files of rules: the shipped one, and before its rules those of a file of the user's own."""

from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from factory.domain.errors import BadInputError

Rules = TypeVar("Rules", bound=BaseModel)


def load_rules(
    model: type[Rules],
    package: str,
    file: str,
    path: Path | None,
    merge: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]],
    *,
    title: str,
) -> Rules:
    """Read the shipped rules, and with them those of a file of the same shape.

    Args:
        model: What they are read as.
        package: Where the shipped file is.
        file: Name of the shipped file.
        path: The own file, if there is one.
        merge: Puts the content of the own file, whatever it is, and that of the shipped one together.
        title: What they are called; with underscores for spaces it is the name of their setting.

    Raises:
        BadInputError: The own file is missing or does not have that shape; the message names each fault.
    """
    shipped = yaml.safe_load(resources.files(package).joinpath(file).read_text("utf-8"))
    if path is None:
        return model.model_validate(shipped)
    try:
        return model.model_validate(merge(yaml.safe_load(path.read_text("utf-8")), shipped))
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        cause: Exception = error
    except (OSError, yaml.YAMLError, AttributeError, TypeError) as error:
        why, cause = str(error), error
    raise BadInputError(
        f"the {title} in {path} cannot be used: {why}",
        remedy=f"See {package.replace('.', '/')}/{file} for the shape.",
        field=title.replace(" ", "_"),
    ) from cause


def check_names(names: Iterable[str]) -> None:
    """Raise ValueError where a name is given twice."""
    known = list(names)
    for name in sorted({name for name in known if known.count(name) > 1}):
        raise ValueError(f"{name!r} is named twice")
