"""Bulk embedding on Ray Data."""

from factory.memory.jobs.corpus import JobProgress, JobReport, embed_corpus
from factory.memory.jobs.reading import Defaults, Refusal
from factory.memory.jobs.work import Chunker

__all__ = ["Chunker", "Defaults", "JobProgress", "JobReport", "Refusal", "embed_corpus"]
