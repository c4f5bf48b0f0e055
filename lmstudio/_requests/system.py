"""Requests about the server as a whole."""

from __future__ import annotations

from typing import Any

from .._api.checks import check_count, check_flag, check_text
from .._connection.endpoints import rpc
from .._connection.request import Request
from .._values.server_info import ServerInfo, ServerVersion
from . import answers


def notify(title: str, description: str | None, no_auto_dismiss: bool) -> Request[None]:
    """Ask to show a notification to whoever sits before LM Studio."""
    parameter: dict[str, Any] = {"title": check_text(title, "title")}
    if description is not None:
        parameter["description"] = check_text(description, "description")
    if check_flag(no_auto_dismiss, "no_auto_dismiss"):
        parameter["noAutoDismiss"] = True
    return Request(rpc("system", "notify", "The notification"), parameter, lambda _: None)


def start_http_server(
    port: int | None, cors: bool | None, network_interface: str | None
) -> Request[None]:
    """Ask to open the server that speaks HTTP; None stands for what is set in LM Studio."""
    parameter: dict[str, Any] = {}
    if port is not None:
        parameter["port"] = check_count(port, "port", most=65535)
    if cors is not None:
        parameter["cors"] = check_flag(cors, "cors")
    if network_interface is not None:
        parameter["networkInterface"] = check_text(network_interface, "network_interface")
    endpoint = rpc("system", "startHttpServer", "Starting the HTTP server")
    return Request(endpoint, parameter, lambda _: None)


def stop_http_server() -> Request[None]:
    """Ask to close the server that speaks HTTP."""
    endpoint = rpc("system", "stopHttpServer", "Stopping the HTTP server")
    return Request(endpoint, None, lambda _: None)


def request_shutdown() -> Request[None]:
    """Ask the server to end."""
    return Request(rpc("system", "requestShutdown", "The shutdown"), None, lambda _: None)


def get_version() -> Request[ServerVersion]:
    """Ask for the server's version."""

    def read(answer: Any) -> ServerVersion:
        return ServerVersion(
            version=answers.text(answer, "version"), build=answers.size(answer, "build")
        )

    return Request(rpc("system", "version", "Asking for the version"), None, read)


def get_info() -> Request[ServerInfo]:
    """Ask what the server runs as."""

    def read(answer: Any) -> ServerInfo:
        return ServerInfo(
            pid=answers.count(answer, "pid"),
            is_daemon=answers.flag(answer, "isDaemon"),
            version=answers.text(answer, "version"),
        )

    return Request(rpc("system", "info", "Asking what the server is"), None, read)
