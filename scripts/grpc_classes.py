"""Makes the Python classes of `factory.proto`; `--check` fails where the repository's are not what it would make."""

import argparse
import filecmp
import sys
import tempfile
from importlib import resources
from pathlib import Path

from google.api import annotations_pb2
from grpc_tools import protoc

_SOURCE = "factory/serve/grpc/factory.proto"
_MADE = ("factory_pb2.py", "factory_pb2.pyi", "factory_pb2_grpc.py")


def generate(root: Path, target: Path) -> None:
    """Write the classes.

    Args:
        root: Of the repository.
        target: A folder that they are written under, at the path of their package.

    Raises:
        ValueError: The compiler refused the source; it says why on stderr.
    """
    well_known = resources.files("grpc_tools") / "_proto"
    google_apis = Path(annotations_pb2.__file__).parents[2]
    outputs = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main(["protoc", f"-I{root}", f"-I{well_known}", f"-I{google_apis}", *outputs, _SOURCE]):
        raise ValueError(f"{_SOURCE} cannot be compiled")


def differing(root: Path) -> list[str]:
    """Return the names of the generated files that are not what the source makes."""
    with tempfile.TemporaryDirectory() as folder:
        generate(root, Path(folder))
        made = Path(folder) / Path(_SOURCE).parent
        kept = root / Path(_SOURCE).parent
        return [name for name in _MADE if not filecmp.cmp(made / name, kept / name, shallow=False)]


def main() -> None:
    """Make the classes, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the files are stale")
    root = Path(__file__).parents[1]
    if not parser.parse_args().check:
        generate(root, root)
    elif stale := differing(root):
        sys.exit(f"stale: {', '.join(stale)}. Run `make proto`.")


if __name__ == "__main__":
    main()
