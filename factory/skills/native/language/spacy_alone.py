"""Loads spaCy without PyTorch; import this before anything of spaCy's.

thinc, which spaCy stands on, loads torch wherever it is installed, for models that are not used here: four seconds and
250 MB in every process that knows the skills (`thinc/compat.py`). Where it was loaded before, it stays.
"""

import sys

_hidden = "torch" not in sys.modules
if _hidden:
    sys.modules["torch"] = None  # type: ignore[assignment]  # `import torch` fails then
try:
    import spacy  # noqa: F401
finally:
    if _hidden:
        del sys.modules["torch"]
