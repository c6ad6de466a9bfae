"""Deterministic skills, always there: one package per artifact kind."""
