"""Kernels of older ipykernels, beside the newest that the environment itself has.

``python -m scripts.kernels`` makes one thin virtual environment for each: it holds that ipykernel only and sees
everything else through the environment that runs this script. Beside `.venv` they are `.venv-ipykernel-6.29`,
`.venv-ipykernel-7.0` and `.venv-colab`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts import thin_environments
from scripts.thin_environments import directory, python, shared_data

DROPPED_DEPENDENCIES = ("nest-asyncio", "psutil")
"""What the older ipykernels import and 7.4 no longer depends on (Requires-Dist of each)."""

OLDER = {
    "ipykernel-6.29": ("ipykernel==6.29.*", *DROPPED_DEPENDENCIES),
    "ipykernel-7.0": ("ipykernel==7.0.*", *DROPPED_DEPENDENCIES),
}
"""Kernel name and what pip installs for it: the oldest we support, and the one whose plain threads lose their cell."""

COLAB = "colab"
"""Kernel name of the ipykernel and IPython that Colab has, and holds fast: `install_requires` in its setup.py
(github.com/googlecolab/colabtools, January 2026)."""

OTHERS = {
    **OLDER,
    COLAB: ("ipykernel==6.17.1", "ipython==7.34.0", *DROPPED_DEPENDENCIES, "backcall", "decorator", "pickleshare"),
}
"""All kernels of environments of their own."""

NEWEST = "python3"
"""Kernel name of the newest ipykernel, the one installed in the environment itself."""

KERNELS = (*OLDER, NEWEST)

LAUNCHERS = {"ipykernel-7.0": (str(Path(__file__).with_name("kernel_7_0.py")),)}
"""Kernel name and what its Python runs, where that is not ipykernel's own launcher."""


def make(kernel: str) -> None:
    """Makes the thin environment of an older kernel, with its kernelspec, in place of what was there.

    Parameters
    ----------
    kernel
        A key of `OTHERS`.
    """
    thin_environments.make(kernel, OTHERS[kernel], alone=True)
    specs = shared_data(directory(kernel)) / "kernels"
    shutil.rmtree(specs)  # its own has the newest ipykernel's name
    spec = specs / kernel / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [str(python(kernel)), *LAUNCHERS.get(kernel, ("-m", "ipykernel_launcher")), "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": kernel, "language": "python"}), encoding="utf-8")


def jupyter_path() -> str:
    """The JUPYTER_PATH under which a Jupyter server finds the older kernels."""
    return os.pathsep.join(str(shared_data(directory(kernel))) for kernel in OTHERS)


def main() -> int:
    """Makes all of them and says which versions they really import."""
    for kernel in OTHERS:
        make(kernel)
        told = "import ipykernel; print('ipykernel', ipykernel.__version__)"
        subprocess.run([python(kernel), "-c", told], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
