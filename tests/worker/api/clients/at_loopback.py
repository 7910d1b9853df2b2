"""Run a script that asks Perspective's fixed host, with that host on this machine.

    API_PORT=8443 python at_loopback.py SCRIPT ARGUMENT...

The client's own code stays as it was published. No other name is looked up at all.
"""

import os
import runpy
import socket
import sys
from typing import Any, Final

HOST: Final = "commentanalyzer.googleapis.com"
PORT: Final = int(os.environ["API_PORT"])

look_up = socket.getaddrinfo


def look_up_here(host: Any, port: Any, *how: Any, **named: Any) -> Any:
    """Return the address of the server under test."""
    if host != HOST:
        raise socket.gaierror(f"{host}:{port} is not Perspective")
    return look_up("127.0.0.1", PORT, *how, **named)


socket.getaddrinfo = look_up_here
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
