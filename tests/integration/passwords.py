# SPDX-License-Identifier: Apache-2.0
"""Credentials for tests: hashes that are cheap to check, made by the system's own crypt, and the fields that carry them."""
import base64
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import crypt


def hashed(password, salt="$2b$04$abcdefghijklmnopqrstuu"):
    """A hash of the lowest cost of its kind."""
    return crypt.crypt(password, salt)


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def htpasswd(**users):
    return "".join(f"{user}:{hashed(password)}\n" for user, password in users.items())
