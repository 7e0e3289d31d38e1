"""What tests need of the system, from the distribution's packages where they can be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable


def ensure(find: Callable[[], object], package: str, missing: str, *, named: str) -> int:
    """Make sure that something is there; an exit code: 1, and a sentence, if it cannot be.

    Parameters
    ----------
    find
        What it found, or None.
    package
        What is installed, where we are root and the distribution is Debian's kin.
    missing
        The sentence.
    named
        The environment variable by which a person says where it is: then nothing is installed.
    """
    if find() is None and named not in os.environ:
        _install(package)
    if find() is None:
        print(missing, file=sys.stderr)
        return 1
    return 0


def _install(package: str) -> None:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    print(f"Installing {package} from the distribution's packages", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        subprocess.run([apt, "-qq", *arguments], env=environment, check=False, stdout=subprocess.DEVNULL)
