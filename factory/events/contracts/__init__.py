"""The contracts: one module per topic, one pydantic model per event type and major version."""
