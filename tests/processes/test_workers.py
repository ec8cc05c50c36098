"""A worker is found by its end of a connection, and nothing else is killed."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.processes.workers import kill_all, kill_at

_CONNECTS = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1]))).recv(1)"


class Connected(NamedTuple):
    """A process that has connected from `port`."""

    process: subprocess.Popen[bytes]
    port: int


@contextmanager
def connected(program: Path) -> Iterator[Connected]:
    program.write_text(_CONNECTS)
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, str(program), str(server.getsockname()[1])]
        with subprocess.Popen(command) as process:  # noqa: S603 - the program above
            connection, (_, port) = server.accept()
            with connection:
                yield Connected(process, port)


def test_the_worker_at_the_end_of_a_connection_is_killed(tmp_path: Path) -> None:
    with connected(tmp_path / "_worker.py") as worker:
        assert kill_at(worker.port)
        assert worker.process.wait() == -signal.SIGKILL


def test_all_workers_are_killed_at_once(tmp_path: Path) -> None:
    with connected(tmp_path / "_worker.py") as worker:
        assert kill_all() == 1
        assert worker.process.wait() == -signal.SIGKILL


def test_no_process_but_a_worker_is_killed(tmp_path: Path) -> None:
    with connected(tmp_path / "other.py") as other:
        assert not kill_at(other.port)
        assert not kill_all()
        assert other.process.poll() is None
