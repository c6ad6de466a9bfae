"""A process that runs an embedding job on a Ray that is there, to be killed by a test."""

import logging
import sys

import ray

from tests.memory_cluster.test_embedding_job import run

if __name__ == "__main__":
    address, source, output, url = sys.argv[1:]
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    run(source, output, url)
