"""Why there is no answer: only what cannot have reached the server counts as not sent."""

import ssl

import pytest
import requests
from urllib3 import HTTPSConnectionPool
from urllib3.exceptions import MaxRetryError
from urllib3.exceptions import SSLError as TransportSslError

from loader.api import Loss, _loss

UNTRUSTED = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")
LATER = {
    "bad record": ssl.SSLError(1, "decryption failed or bad record mac"),
    "closed while sending": ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
}


def raised(error: ssl.SSLError) -> requests.exceptions.SSLError:
    """Return the error as requests raises it."""
    pool = HTTPSConnectionPool("127.0.0.1", 9)
    return requests.exceptions.SSLError(MaxRetryError(pool, "/", TransportSslError(error)))


def test_a_certificate_that_is_not_trusted_was_sent_nothing():
    assert _loss(raised(UNTRUSTED)) == (Loss.NOT_SENT, "its certificate is not trusted")


@pytest.mark.parametrize("name", LATER)
def test_an_encryption_that_fails_later_may_have_carried_the_record(name: str):
    assert _loss(raised(LATER[name]))[0] is Loss.NO_ANSWER
