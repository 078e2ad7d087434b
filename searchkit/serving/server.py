"""A server on this machine that shows the studies of a storage while they run."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import webbrowser
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from types import TracebackType

from searchkit.errors import SearchkitError, first_line_said
from searchkit.serving.handler import Handler
from searchkit.serving.studies import Studies
from searchkit.storage.paths import StorageLike

HOSTS = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "::1", "[::1]": "::1"}
PORT = 8080
TRIED = 50  # ports after the one that is in use, of which a free one is named


class Server:
    """Shows studies in browsers of this machine, from :meth:`start` to :meth:`close`; also as a context manager.

    Records are read, and neither written nor locked: searches go on as if nobody looked.

    Args:
        storage: a folder, a journal file, the URL of a database, or an Optuna storage; None: ``searchkit-runs/``.
        host: "127.0.0.1", "localhost" or "::1"; there is no other, since whoever reaches the port reads everything.
        port: 0: any that is free.

    Raises:
        StorageError: the storage does not exist.
        SearchkitError: another host, or a port that cannot be had; the message names a free one.
    """

    def __init__(self, storage: StorageLike = None, host: str = "127.0.0.1", port: int = PORT) -> None:
        bound = _checked(host, port)
        studies = Studies(storage)
        self._server = _listening(bound, port)
        self.port: int = self._server.server_address[1]
        self.address = f"http://{f'[{bound}]' if ':' in bound else bound}:{self.port}/"
        names = [f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")]
        hosts = frozenset(names if self.port != 80 else [*names, "127.0.0.1", "localhost", "[::1]"])
        self._server.RequestHandlerClass = type("BoundHandler", (Handler,), {"studies": studies, "hosts": hosts})
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self) -> Server:
        """Answer requests in threads of this process, from now on.

        Raises:
            SearchkitError: the server was closed.
        """
        if self._closed:
            raise SearchkitError("this server was closed, and its port is another's by now: make a new one")
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._server.serve_forever, args=(0.1,), name="searchkit-serve", daemon=True
            )
            self._thread.start()
        return self

    def wait(self) -> None:
        """Return when the server is closed, or KeyboardInterrupt is raised."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.5)  # with a timeout: Windows does not interrupt a wait without one

    def close(self) -> None:
        """Answer no more, and free the port."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()
        self._closed = True

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def serve(
    storage: StorageLike = None,
    host: str = "127.0.0.1",
    port: int = PORT,
    *,
    browser: bool = False,
    said: Callable[[str], object] = print,
) -> None:
    """Show the studies of a storage in browsers of this machine, until Ctrl-C.

    Args:
        storage, host, port: see :class:`Server`.
        browser: open the list of studies in one.
        said: is called with each line that is said to the user.

    Raises:
        StorageError: the storage does not exist.
        SearchkitError: another host, or a port that cannot be had; the message names a free one.
    """
    with contextlib.suppress(KeyboardInterrupt), Server(storage, host, port) as server:
        said(f"the studies are at {server.address} on this machine only; Ctrl-C ends it")
        if browser:
            webbrowser.open(server.address)
        server.wait()
    said("searchkit: no longer serving; the searches go on")


Request = socket.socket | tuple[bytes, socket.socket]  # as socketserver has it; the second is of datagrams


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a browser keeps connections open that ask for nothing
    allow_reuse_address = os.name == "posix"  # elsewhere it would let two servers have one port
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[Handler]) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Request, client_address: object) -> None:
        if isinstance(request, socket.socket):
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Request) -> None:
        if isinstance(request, socket.socket):
            self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """End the connections, too, which browsers keep open and would ask on."""
        super().server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(self.allow_reuse_address))
        self.socket.bind(self.server_address)  # without asking for the name of this machine, which may take seconds
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that went away in the middle of an answer is no error."""


class _Six(_Threads):
    address_family = socket.AF_INET6


def _listening(bound: str, port: int) -> ThreadingHTTPServer:
    try:
        return (_Six if ":" in bound else _Threads)((bound, port), Handler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            free = _free_after(bound, port)
            other = f"--port {free}, which is free, or " if free else ""
            raise SearchkitError(f"port {port} is in use on this machine: give {other}--port 0 for any") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise SearchkitError(
                f"port {port} is not for programs of users: give one from 1024 on, or --port 0 for any"
            ) from error
        raise SearchkitError(f"port {port} of {bound} cannot be had: {first_line_said(error)}") from error


def _free_after(bound: str, port: int) -> int | None:
    """The next port that is free; None where none is among the next ones."""
    for other in range(port + 1, min(65536, port + 1 + TRIED)):
        with socket.socket(socket.AF_INET6 if ":" in bound else socket.AF_INET) as tried:
            try:
                tried.bind((bound, other))
            except OSError:
                continue
            return other
    return None


def _checked(host: str, port: int) -> str:
    """The address to listen on."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise SearchkitError(f"a port is a whole number from 1 to 65535, or 0 for any that is free, not {port!r}")
    if host not in HOSTS:
        raise SearchkitError(
            f"the pages are for this machine only, at {', '.join(HOSTS)}, not {host!r}: whoever reaches them reads "
            "every study. To see them from elsewhere, forward the port: ssh -L "
            f"{port or PORT}:127.0.0.1:{port or PORT} USER@THIS-MACHINE"
        )
    return HOSTS[host]
