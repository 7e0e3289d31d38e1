"""Small helpers of the Makefile, of `.ci/run` and of the browser tests."""
