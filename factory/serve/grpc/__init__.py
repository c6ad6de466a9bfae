"""The factory over gRPC: `factory.proto`, the classes made from it, and how its calls become requests."""
