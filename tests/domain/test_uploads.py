"""Digests that a client announces."""

import base64
import hashlib

import pytest

from app.domain.uploads import expected_digest

DIGEST = hashlib.sha256(b"x")
HEADER = f"sha-256=:{base64.b64encode(DIGEST.digest()).decode()}:"


def test_a_digest_is_announced_by_header_or_parameter():
    """Either is enough, both may agree, and nothing at all is no promise."""
    hexadecimal = DIGEST.hexdigest()
    assert expected_digest(None, None) is None
    assert expected_digest(None, hexadecimal.upper()) == hexadecimal
    assert expected_digest(HEADER, None) == hexadecimal
    assert expected_digest(f"sha-512=:AAAA:, {HEADER}", hexadecimal) == hexadecimal


@pytest.mark.parametrize("header", ["", "sha-256=:AAAA:", "sha-256=:A:", "sha-512=:AAAA:", "sha-256=abc", f"x{HEADER}"])
def test_a_digest_that_cannot_be_checked_is_refused(header):
    """A promise that nobody holds anything against is worse than none."""
    with pytest.raises(ValueError, match="names no SHA-256"):
        expected_digest(header, None)


def test_two_different_digests_are_refused():
    """Which of them was meant is not known."""
    with pytest.raises(ValueError, match="two different"):
        expected_digest(HEADER, "0" * 64)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        expected_digest(None, "abc")
