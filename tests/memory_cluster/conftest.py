"""One local Ray for the tests of a module; the next module may start one of its own."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Give the address of a Ray with two cores, which this process is connected to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        context: Any = ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=256 * 1024 * 1024,
        )
        yield str(context.address_info["address"])
        ray.shutdown()
