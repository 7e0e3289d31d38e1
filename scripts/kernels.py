"""Kernels of older ipykernels, beside the newest that the environment itself has.

``python -m scripts.kernels`` makes one thin virtual environment for each: it holds that ipykernel only and sees
everything else through the environment that runs this script. Beside `.venv` they are `.venv-ipykernel-6.29`,
`.venv-ipykernel-7.0` and `.venv-colab`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

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


def directory(kernel: str) -> Path:
    """Where the thin environment of an older kernel is: beside the running environment, named after it."""
    return Path(f"{sys.prefix}-{kernel}")


def site_packages(environment: Path) -> Path:
    """The `site-packages` of a virtual environment of the running Python's version."""
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def make(kernel: str) -> None:
    """Makes the thin environment of an older kernel, with its kernelspec, in place of what was there.

    Parameters
    ----------
    kernel
        A key of `OTHERS`.
    """
    environment = directory(kernel)
    venv.create(environment, clear=True, symlinks=True)
    packages = site_packages(environment)
    # A plain path would do for packages, but only `addsitedir` follows the .pth of our own editable install.
    behind = site_packages(Path(sys.prefix))
    (packages / "behind.pth").write_text(f"import site; site.addsitedir({str(behind)!r})\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages), *OTHERS[kernel]]
    subprocess.run(pip, check=True)
    spec = environment / "share" / "jupyter" / "kernels" / kernel / "kernel.json"
    spec.parent.mkdir(parents=True)
    python = environment / "bin" / "python"
    argv = [str(python), *LAUNCHERS.get(kernel, ("-m", "ipykernel_launcher")), "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": kernel, "language": "python"}), encoding="utf-8")


def jupyter_path() -> str:
    """The JUPYTER_PATH under which a Jupyter server finds the older kernels."""
    return os.pathsep.join(str(directory(kernel) / "share" / "jupyter") for kernel in OTHERS)


def main() -> int:
    """Makes all of them and says which versions they really import."""
    for kernel in OTHERS:
        make(kernel)
        python = directory(kernel) / "bin" / "python"
        subprocess.run([python, "-c", "import ipykernel; print('ipykernel', ipykernel.__version__)"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
