"""Loads spaCy without PyTorch, for those alone who read text; everything else names its types only.

thinc, which spaCy stands on, loads torch wherever it is installed, for models that are not used here: four seconds and
250 MB (`thinc/compat.py`). Where it was loaded before, it stays. spaCy itself takes two seconds and 60 MB, which every
actor of every agent would spend, since all of them know all skills.
"""

import sys
from types import ModuleType


def load_spacy() -> ModuleType:
    """Return the module `spacy`."""
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]  # `import torch` fails then
    try:
        import spacy  # noqa: PLC0415
    finally:
        if hidden:
            del sys.modules["torch"]
    return spacy
