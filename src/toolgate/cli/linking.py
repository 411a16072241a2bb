"""`toolgate credentials link`: somebody's consent, given in their browser and taken on a loopback address of this machine.

The browser is sent to the authorization server and comes back to us (RFC 8252, 7.3). Whatever else knocks meanwhile, such as a
page that guesses the port, is turned away and ends nothing: only an answer with our own `state` does.
"""

from __future__ import annotations

import asyncio
import secrets
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

from toolgate.oauth.document import HOST, PATH, PORT

WAIT = 300.0
"""Seconds that a person has."""
LONGEST = 16 * 1024
"""Bytes of a request's head."""
DONE = "Toolgate has the answer. You can close this page; the terminal says more."
PAGE = (
    "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n"
    "Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n{text}"
)


class Waiting:
    """The address that a browser comes back to."""

    def __init__(self) -> None:
        self.redirect = ""
        self._state = ""
        self._answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def answer(self, state: str, seconds: float = WAIT) -> str:
        """The query of the URL by which the browser came back with `state`. Raises TimeoutError."""
        self._state = state
        return await asyncio.wait_for(self._answer, seconds)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, text = self._heard(head)
            writer.write(PAGE.format(status=status, length=len(text.encode()), text=text).encode())
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # whoever that was, it was no browser of ours
        finally:
            writer.close()

    def _heard(self, head: str) -> tuple[str, str]:
        line, *headers = head.split("\r\n")
        method, _, target = line.partition(" ")
        path, _, query = target.partition(" ")[0].partition("?")
        hosts = [value.strip() for name, _, value in (each.partition(":") for each in headers) if name.lower() == "host"]
        if method != "GET" or path != PATH or hosts != [self.redirect.split("/")[2]]:
            return "404 Not Found", "There is nothing here."
        said = parse_qs(query).get("state", [])
        if not self._state or len(said) != 1 or not secrets.compare_digest(said[0].encode(), self._state.encode()):
            return "400 Bad Request", "This answer belongs to another question."
        if not self._answer.done():
            self._answer.set_result(query)
        return "200 OK", DONE


@asynccontextmanager
async def waiting(port: int = PORT) -> AsyncIterator[Waiting]:
    """Listen on loopback until the block ends. Raises OSError when the port is taken.

    Args:
        port: the same each time, because some servers compare the whole address; 0 for any free one.
    """
    here = Waiting()
    server = await asyncio.start_server(here.talk, HOST, port, limit=LONGEST)
    async with server:
        here.redirect = f"http://{HOST}:{server.sockets[0].getsockname()[1]}{PATH}"
        yield here


def show(url: str) -> bool:
    """Open `url` in the person's browser. Whether there is one."""
    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False
