"""Running the viewer on this machine."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

import uvicorn

from perkey.answers import system_answer
from perkey.viewer.app import Place, close, create_app
from perkey.viewer.panels import Panel

_HOST = "127.0.0.1"
_HOST_6 = "::1"
_BACKLOG = 128


class _Server(uvicorn.Server):
    """A server that ends at the first signal, also while connections are open."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, self._end) for each in names}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _end(self, _: int, __: FrameType | None) -> None:
        self.should_exit = self.force_exit = True
        logging.getLogger("uvicorn.error").disabled = True  # requests under way are cancelled


def serve(
    places: Iterable[Place],
    *,
    port: int = 0,
    unpickle: bool = False,
    panels: Iterable[Panel] = (),
    browser: bool = True,
    announce: Callable[[str], object] = print,
) -> None:
    """Show places in a browser until the process gets SIGINT or SIGTERM.

    Args:
        places: As for `create_app`.
        port: The port on loopback; 0 is any free one.
        unpickle: Whether pickles are loaded, which runs code that their writers chose.
        panels: As for `create_app`.
        browser: Whether the address is opened in a browser.
        announce: Gets the address, with the token, when the viewer answers.

    Raises:
        OSError: The port is taken.
    """
    token = secrets.token_urlsafe(32)
    app = create_app(places, token=token, unpickle=unpickle, panels=panels)
    with _listening(port) as sockets:
        address = f"http://{_HOST}:{sockets[0].getsockname()[1]}/?token={token}"

        def ready() -> None:
            announce(address)
            if browser:
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # addresses have the token
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="off",  # its end would wait for requests under way
        )
        try:
            _Server(config, ready).run(sockets=sockets)
        finally:
            close(app)


@contextmanager
def _listening(port: int) -> Iterator[list[socket.socket]]:
    """Listen on loopback: on IPv4, and on the same port of IPv6 if it is there and free."""
    with ExitStack() as stack:
        try:
            sockets = [stack.enter_context(_listener(socket.AF_INET, _HOST, port))]
        except system_answer(OSError) as error:
            message = (
                f"{error.strerror}: port {port} of {_HOST}; choose another one, or port 0 for any free one"
            )
            raise OSError(error.errno, message) from error
        try:
            other = _listener(socket.AF_INET6, _HOST_6, sockets[0].getsockname()[1])
        except system_answer(OSError):
            pass  # `localhost` then leads to IPv4
        else:
            sockets.append(stack.enter_context(other))
        yield sockets


def _listener(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening
