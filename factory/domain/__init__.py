"""Pure types and rules of the factory. Nothing here does I/O."""
