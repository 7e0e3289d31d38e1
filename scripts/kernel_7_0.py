"""Starts ipykernel 7.0 with the one fix without which it now and then never answers its first cell.

A reply is sent past the stream that reads the requests of the same socket, so that a request arriving in that moment
is not noticed before the next one comes; 7.4 sends it through the stream, and so does this
(https://github.com/ipython/ipykernel/pull/1529). Without it 2 of 40 notebooks hung, whatever ran in them.
Everything else is ipykernel 7.0 as released.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Does what ``python -m ipykernel_launcher`` does."""
    sys.path.pop(0)  # this folder, whose modules are nobody's business in a kernel
    from ipykernel.kernelapp import IPKernelApp

    class FixedKernelApp(IPKernelApp):
        def init_kernel(self) -> None:
            super().init_kernel()  # type: ignore[no-untyped-call]
            self.shell_channel_thread.manager._shell_socket = self.kernel.shell_stream

    FixedKernelApp.launch_instance()


if __name__ == "__main__":
    main()
