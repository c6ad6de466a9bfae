"""Lets tests import the program as Pulumi does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
