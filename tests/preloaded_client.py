"""``python`` for tests, in a process that has imported PyTorch and the like: see ``preloaded``.

    python -IS preloaded_client.py SOCKET [SCRIPT | -m MODULE | -c CODE] ...

It hands its streams, folder, environment and arguments to the server at the socket, passes on the
signals that it gets, and ends as the process there ends. It imports little, to start at once.
"""

import os
import signal
import socket
import sys


def main(path: str, arguments: list[str]) -> int:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        request = repr((arguments, os.getcwd(), dict(os.environ))).encode()
        socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(request)
        for name in ("SIGINT", "SIGTERM"):
            signal.signal(getattr(signal, name), lambda number, _: server.sendall(bytes([number])))
        status = server.recv(4)  # interrupted by a signal, it goes on
    code = int.from_bytes(status, "big", signed=True) if status else 1
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
