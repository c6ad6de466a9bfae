"""What generated Python says, read from its syntax tree without running it."""

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from factory.skills.validation.specifications import METHODS


class Route(NamedTuple):
    """An endpoint in the code."""

    method: str
    path: str
    file: str


class Table(NamedTuple):
    """A table that a migration makes."""

    columns: frozenset[str]
    file: str


def trees(files: Mapping[str, str]) -> Iterator[tuple[str, ast.Module]]:
    """Yield path and tree of each file that parses."""
    for path, text in files.items():
        try:
            yield path, ast.parse(text)
        except (SyntaxError, ValueError):
            continue


def routes(files: Mapping[str, str]) -> list[Route]:
    """Return the endpoints of all FastAPI routers and applications, with the prefixes of their own router.

    A router's prefix is the one it is made with; `include_router(prefix=…)` is added where it names the
    router's module or variable.
    """
    parsed = list(trees(files))
    included = dict(entry for _, tree in parsed for entry in _included(tree))
    found = []
    for path, tree in parsed:
        prefixes = _prefixes(tree)
        module = path.rpartition("/")[2].removesuffix(".py")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    for router, method, local in _decorated(decorator):
                        outer = included.get(f"{module}.{router}", included.get(router, ""))
                        found.append(Route(method, f"{outer}{prefixes.get(router, '')}{local}" or "/", path))
    return found


def enum_values(files: Mapping[str, str], name: str) -> dict[str, str] | None:
    """Return the members of the first enumeration class of that name; None where there is none."""
    for _, tree in trees(files):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return {
                    target.id: entry.value.value
                    for entry in node.body
                    if isinstance(entry, ast.Assign) and isinstance(entry.value, ast.Constant)
                    for target in entry.targets
                    if isinstance(target, ast.Name) and isinstance(entry.value.value, str)
                }
    return None


def migrated_tables(files: Mapping[str, str]) -> dict[str, Table]:
    """Return the tables that the migrations create and keep, with the columns they end with."""
    found: dict[str, Table] = {}
    for path, tree in trees(files):
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and function.name == "upgrade":
                for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                    _apply(call, path, found)
    return found


def mapped_tables(files: Mapping[str, str]) -> dict[str, str]:
    """Return the tables that the persistence layer names, each with its file."""
    found = {}
    for path, tree in trees(files):
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and any(_is_named(target, "__tablename__") for target in node.targets):
                if name := _text(node.value):
                    found[name] = path
            elif (
                isinstance(node, ast.Call) and _called(node) == "Table" and node.args and (name := _text(node.args[0]))
            ):
                found[name] = path
    return found


def settings_variables(files: Mapping[str, str]) -> set[str]:
    """Return the environment variables that the settings classes read, in capitals."""
    found = set()
    for _, tree in trees(files):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any(_is_named(base, "BaseSettings") for base in node.bases):
                prefix = _settings_prefix(node)
                found |= {
                    f"{prefix}{entry.target.id}".upper()
                    for entry in node.body
                    if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name)
                }
    return found


def texts(files: Mapping[str, str]) -> set[str]:
    """Return every string literal."""
    return {
        node.value
        for _, tree in trees(files)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _decorated(decorator: ast.expr) -> Iterator[tuple[str, str, str]]:
    if not (isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)):
        return
    owner, method = decorator.func.value, decorator.func.attr
    if not isinstance(owner, ast.Name):
        return
    given = {keyword.arg: keyword.value for keyword in decorator.keywords}
    local = _text(decorator.args[0] if decorator.args else given.get("path"))
    if local is None:
        return
    if method in METHODS:
        yield owner.id, method, local
    elif method == "api_route" and isinstance(listed := given.get("methods"), ast.List | ast.Tuple | ast.Set):
        for entry in listed.elts:
            yield owner.id, (_text(entry) or "get").lower(), local


def _prefixes(tree: ast.Module) -> dict[str, str]:
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _called(node.value) == "APIRouter":
            prefix = next((_text(entry.value) for entry in node.value.keywords if entry.arg == "prefix"), None)
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = prefix or ""
    return found


def _included(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) == "include_router" and node.args:
            prefix = next((_text(entry.value) for entry in node.keywords if entry.arg == "prefix"), None)
            if prefix:
                yield ast.unparse(node.args[0]), prefix


def _apply(call: ast.Call, path: str, found: dict[str, Table]) -> None:
    named = [text for text in map(_text, call.args) if text is not None]
    match _called(call):
        case "create_table" if named:
            columns = {
                name
                for entry in call.args[1:]
                if isinstance(entry, ast.Call) and _called(entry) == "Column" and entry.args
                if (name := _text(entry.args[0]))
            }
            found[named[0]] = Table(frozenset(columns), path)
        case "drop_table" if named:
            found.pop(named[0], None)
        case "add_column" if named and named[0] in found and len(call.args) > 1:
            column = call.args[1]
            if isinstance(column, ast.Call) and column.args and (name := _text(column.args[0])):
                found[named[0]] = found[named[0]]._replace(columns=found[named[0]].columns | {name})


def _settings_prefix(node: ast.ClassDef) -> str:
    for call in (entry for entry in ast.walk(node) if isinstance(entry, ast.Call)):
        if _called(call) == "SettingsConfigDict":
            for keyword in call.keywords:
                if keyword.arg == "env_prefix":
                    return _text(keyword.value) or ""
    return ""


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_named(node: ast.expr, name: str) -> bool:
    return getattr(node, "id", getattr(node, "attr", None)) == name


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
