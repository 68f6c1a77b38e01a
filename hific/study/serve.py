"""`hific study serve`: one process on one port, to this machine alone unless it is given a token."""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from hific.errors import OptionError
from hific.study.app import LOOPBACK_NAMES, build_app
from hific.study.manifest import check_pictures, read_manifest
from hific.study.votes import VoteStore

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
ANY = ("0.0.0.0", "::")


def serve_study(
    folder: Path, *, host: str = "127.0.0.1", port: int = 8000, token: str | None = None, say: Callable[[str], object]
) -> None:
    """Until it is interrupted. `token`: None for none, empty for a new one. `say`: is given lines for the person who
    serves. OptionError for what cannot be served, or not there."""
    token = check_token(host, token)
    manifest, manifest_hash = read_manifest(folder)
    check_pictures(folder, manifest)
    store = VoteStore(folder, manifest, manifest_hash)
    names = (*LOOPBACK_NAMES, _in_addresses(host))
    with listen(host, port) as listener:
        try:
            say(address(host, listener.getsockname()[1], token))
            say(f"{len(store.participants())} participants and {len(store.votes())} votes so far; Ctrl-C ends it")
            # Without a log of requests: it would have the addresses of participants, and their codes.
            app = build_app(folder, manifest, store, token, names)
            config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            store.close()


def check_token(host: str, token: str | None) -> str:
    """The token, a new one for an empty one, or none; OptionError where one is due."""
    if token is None:
        if not is_loopback(host):
            raise OptionError(
                f"--host {host}: others could reach the study: it needs --token (a new one), or --token TOKEN"
            )
        return ""
    if token and not _TOKEN.fullmatch(token):
        raise OptionError("--token: it is 16 to 128 letters, digits, _ and -; --token alone makes one")
    return token or secrets.token_urlsafe(16)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """OptionError where that cannot be. `port` 0: any that is free."""
    if not 0 <= port <= 65535:
        raise OptionError(f"--port {port}: it is from 0 (any that is free) to 65535")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        # gaierror: of a name that is none
        taken = "is in use" if "in use" in str(error) else f"cannot be had ({error.strerror or error})"
        raise OptionError(f"--port {port} of {host} {taken}: take another, or --port 0 for any") from error


def _in_addresses(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def address(host: str, port: int, token: str) -> str:
    shown = "ADDRESS-OF-THIS-MACHINE" if host in ANY else _in_addresses(host)
    return f"http://{shown}:{port}/{f'{token}/' if token else ''}"
