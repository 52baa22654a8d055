"""WSGI: the boundary is the `close()` of the response, after the last byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, TypeAlias, cast

from gcctl.integrations._install import Settings, checked, expected, install_here
from gcctl.integrations.request_entry import Bridges, Entry, enter, note_failure

Environ: TypeAlias = dict[str, Any]
Response: TypeAlias = Iterable[bytes]
App: TypeAlias = Callable[[Environ, Callable[..., Any]], Response]


class GcctlMiddleware:
    """`app = GcctlMiddleware(app)`: each request of this WSGI application is a request of gcctl.

    `install` has the first request in a process install gcctl there, unless somebody else has. The
    value is fields of `gcctl.Config` (`{}` for all the defaults), a Config, or the path of a TOML
    file. It is checked at once: raises ConfigError.
    """

    def __init__(self, app: App, *, install: Settings | None = None) -> None:
        self.app = app
        self._install = None if install is None else checked(install)
        self._to_install = True  # or to ask whether somebody else has
        Bridges.possible = True

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Response:
        if self._to_install:
            self._install_once()
        entry = enter(environ)
        server_file = environ.get("wsgi.file_wrapper")
        if server_file is not None and not isinstance(server_file, type) and entry is not None:
            environ["wsgi.file_wrapper"] = _FileMaker(server_file)
        try:
            response = self.app(environ, start_response)
        except BaseException as error:
            if entry is not None:
                entry.leave(error)
            else:  # begun further out, perhaps by a server hook, which sees no exceptions
                note_failure(environ, error)
            raise
        return response if entry is None else _until_closed(response, entry, environ)

    def _install_once(self) -> None:
        # One step, because nothing is called in it: one of several threads gets the settings.
        settings, self._install = self._install, None
        if settings is not None:
            install_here(settings, "the WSGI middleware")
        self._to_install = settings is None and expected.ask()


def _until_closed(response: Response, entry: Entry, environ: Environ) -> Response:
    """The response, with the boundary in its `close()`."""
    kind = type(response)
    if kind is list or kind is tuple:  # nothing to close, and no code that could fail
        return _Blocks(cast("list[bytes]", response), entry)
    server_file = environ.get("wsgi.file_wrapper")
    known = isinstance(server_file, (type, _FileMaker))
    if known and isinstance(response, cast(type, server_file)):
        return _same_file(response, entry)
    if hasattr(kind, "__len__"):
        return _SizedStream(response, entry)
    return _Stream(response, entry)


class _Blocks:
    """A list or a tuple. Its length tells servers that one block is the whole response."""

    __slots__ = ("_blocks", "_entry")

    def __init__(self, blocks: list[bytes], entry: Entry) -> None:
        self._blocks = blocks
        self._entry = entry

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    def close(self) -> None:
        self._entry.leave()


class _Stream:
    """Any other iterable. It may run code of the application, which may fail."""

    __slots__ = ("_entry", "_iterator", "_response")

    def __init__(self, response: Response, entry: Entry) -> None:
        self._response = response
        self._entry = entry
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:
                self._iterator = iter(self._response)
            return next(self._iterator)
        except StopIteration:
            raise
        except BaseException as error:
            self._entry.fail(error)  # the server calls close() now
            raise

    def close(self) -> None:
        _close(getattr(self._response, "close", None), self._entry)


class _SizedStream(_Stream):
    __slots__ = ()

    def __len__(self) -> int:
        return len(cast(Sized, self._response))


class _FileMaker:
    """`wsgi.file_wrapper` where it is a function, as in uWSGI, and no class. isinstance() cannot
    recognise what it returns, so the last file that it has made is remembered."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make
        self._made: object = None

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        self._made = self._make(*args, **kwargs)
        return self._made

    def __instancecheck__(self, response: object) -> bool:
        made, self._made = self._made, None
        return made is not None and response is made


def _same_file(response: Response, entry: Entry) -> Response:
    """The server's own wrapper of a file, unchanged but for its `close`: servers use sendfile()
    only for a wrapper of their own."""
    close = getattr(response, "close", None)

    def closing() -> None:
        nonlocal close
        once, close = close, None  # else a cycle: it may be a method of the response
        _close(once, entry)

    try:
        response.close = closing  # type: ignore[attr-defined]
    except (AttributeError, TypeError):  # a wrapper made in C has no attributes to set
        entry.leave()
    return response


def _close(close: Callable[[], object] | None, entry: Entry) -> None:
    try:
        if close is not None:
            close()
    except BaseException as error:
        entry.leave(error)
        raise
    entry.leave()
