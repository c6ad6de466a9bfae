"""The `factory` command."""
