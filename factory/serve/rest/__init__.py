"""The public API, version 1: one module per thing."""
