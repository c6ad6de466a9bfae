"""Reading English: parse, clauses, word forms, names, and the annotation of user stories."""

from factory.skills.native.language.annotation import Annotated, StoryAnnotation, annotate_story

__all__ = ["Annotated", "StoryAnnotation", "annotate_story"]
