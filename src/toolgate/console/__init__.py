"""The web console: its files, and the way in for browsers. What the page shows, it asks of `/v1` like any program."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute

from toolgate.console.files import Files
from toolgate.console.oidc import Issuers
from toolgate.console.session import SignIn
from toolgate.egress.wire import Sender
from toolgate.server.identify import Identify
from toolgate.server.session import Sessions
from toolgate.settings import Identity
from toolgate.stores import Stores


class Console:
    """The routes of the page, to be composed with others."""

    def __init__(self, identify: Identify, sessions: Sessions, identity: Identity, sender: Sender, stores: Stores) -> None:
        """
        Args:
            identify: who shows a credential, without sessions.
            sender: the guarded way out, to the issuers that people sign in with.
        """
        self._files = Files(identity.prefix)
        self._issuers = Issuers(identity, sender, stores, identify, sessions)
        self._sign_in = SignIn(identify, sessions, self._issuers.names)
        self.open = frozenset({*self._files.open, *self._sign_in.open, *self._issuers.open})
        """Paths that answer anybody."""

    def routes(self) -> Sequence[BaseRoute]:
        return [*self._files.routes(), *self._sign_in.routes(), *self._issuers.routes()]
