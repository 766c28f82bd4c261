"""Secrets that the server makes, and what it stores of them."""

from __future__ import annotations

import hashlib
import secrets

SECRET_BYTES = 30


def make_secret() -> str:
    """A random text of 40 characters that fits into a URL and a header."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> str:
    """What is stored of a secret: 64 hexadecimal digits.

    A fast hash is enough, for nobody can guess 160 random bits. Passwords, which people make up, need a slow one.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
