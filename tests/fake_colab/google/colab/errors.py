"""What most of Colab's errors are."""


class Error(Exception):
    """Base class."""
