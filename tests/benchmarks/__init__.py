"""Benchmarks against what a user would pick instead: ``make bench``."""

import compileall
from pathlib import Path

# As pip does when it installs us. Else an editable install is compiled by whoever imports it first, and by everybody
# each time where PYTHONDONTWRITEBYTECODE is set: 29 ms for the first widget of a kernel instead of 6.
compileall.compile_dir(Path(__file__).parents[2] / "kling_widget", quiet=1)
