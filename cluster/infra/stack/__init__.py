"""The Azure platform, one module per concern."""
