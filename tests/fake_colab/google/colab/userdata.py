"""Secrets. The real ``get`` asks the page and waits up to 10 s; this one answers at once, and counts."""

import json
import os

from google.colab import errors

asked = []
"""Names asked for in this kernel."""


class NotebookAccessError(Exception):
    """There is such a secret, and this notebook may not read it (not an `errors.Error`, there as here)."""


class SecretNotFoundError(errors.Error):
    """There is no such secret."""


class TimeoutException(errors.Error):
    """The page did not answer for 10 s."""


def get(key):
    asked.append(key)
    if os.environ.get("FAKE_COLAB_SILENT") == "1":
        raise TimeoutException(f"Requesting secret {key} timed out.")
    secrets = json.loads(os.environ.get("FAKE_COLAB_SECRETS", "{}"))
    if key not in secrets:
        raise SecretNotFoundError(f"Secret {key} does not exist.")
    if secrets[key] is None:
        raise NotebookAccessError(f"Notebook does not have access to secret {key}")
    return secrets[key]
