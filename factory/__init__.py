"""An AI software factory: a product vision in, a tested repository out, on Ray."""

__version__ = "0.1.0"
