"""How often a long-lived process looks for cyclic garbage."""

import gc

_NEW_OBJECTS = 50_000


def collect_rarely() -> None:
    """Leave what there is out of garbage collection for good, and look through what comes less often than by default.

    To be called when a process has loaded what it needs. What the factory and Ray import are some hundred thousand
    objects that stay until the end; going through them again and again took a third of a busy supervisor's time
    (`benchmarks/engine.py`). Reference counts free nearly everything that a task leaves behind.

    Source: https://docs.python.org/3/library/gc.html#gc.freeze
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
