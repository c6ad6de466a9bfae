"""Errors of identity, with the codes that OAuth 2.0 gives them."""

from factory.domain.errors import BadInputError, UnauthenticatedError


class InvalidTokenError(UnauthenticatedError):
    """A token proves nothing (RFC 6750, section 3.1)."""

    code = "invalid_token"


class OAuthError(BadInputError):
    """A request to the issuer is refused (RFC 6749, section 5.2).

    Attributes:
        code: As the standard names it: `invalid_grant`, `invalid_client`, and so on.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
