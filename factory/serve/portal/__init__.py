"""The portal (R32): pages made on the server, for people."""

from factory.serve.portal.routes import install

__all__ = ["install"]
