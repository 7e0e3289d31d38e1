"""``python -m kling_widget.simulator``: the simulated vendor as a server on this machine."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from kling_widget.simulator import Fault, SimulatorServer, SimulatorSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    settings = SimulatorSettings(
        seed=given.seed,
        time_factor=given.time_factor,
        long_edge=given.long_edge,
        api_keys=frozenset(given.api_key) if given.api_key else None,
        state_dir=given.state_dir,
        id_shape=given.id_shape,
        submit_status=given.submit_status,
    )
    try:
        server = SimulatorServer(settings, given.port, host=given.host)
    except (ValueError, OSError) as problem:
        parser.exit(1, f"{parser.prog}: {problem}\n")
    server.simulator.faults.add(*given.fault)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with server:
        print(f"kling_widget simulator at {server.url}", flush=True)
        stop.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    usual = SimulatorSettings()
    parser = argparse.ArgumentParser(prog="python -m kling_widget.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 (default) picks a free one")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument(
        "--time-factor",
        type=float,
        default=usual.time_factor,
        help="vendor seconds in one of ours (default: %(default)s)",
    )
    parser.add_argument("--long-edge", type=int, default=usual.long_edge, help="pixels (default: %(default)s)")
    parser.add_argument("--api-key", action="append", help="a key that is good (default: any); may be repeated")
    parser.add_argument("--state-dir", type=Path, help="keep tasks, pictures and videos here")
    parser.add_argument("--id-shape", choices=("short", "uuid", "colon", "mixed"), default=usual.id_shape)
    parser.add_argument("--submit-status", type=int, choices=(200, 201), default=usual.submit_status)
    parser.add_argument(
        "--fault", type=_fault, action="append", default=[], help='JSON, e.g. \'{"where": "submit", "kind": "hang"}\''
    )
    return parser


def _fault(text: str) -> Fault:
    try:
        return Fault.from_json(json.loads(text))
    except (ValueError, TypeError) as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


if __name__ == "__main__":
    sys.exit(main())
