"""`Client.plugins`: the tools of LM Studio's plugins and MCP servers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import lmstudio  # in annotations: the names that need not be imported before they are used

from .._api.public import public
from .._concurrency.cancel_token import CancelEvent
from .._connection.limits import TimeLimit, call_limits
from .._connection.session import Session
from .handle import namespace_text


class PluginsNamespace:
    """The plugins and MCP servers of LM Studio, as `Client.plugins`.

    Thread safety: all methods may be called from several threads at once.
    """

    def __init__(self, session: Session, find_host: Callable[[], str | None]) -> None:
        """Offer what a session can reach; `Client` makes namespaces."""
        self._session = session
        self._find_host = find_host

    def __repr__(self) -> str:
        """Show the server."""
        return namespace_text(self, self._find_host())

    def tools(
        self,
        plugin_identifier: str,
        *,
        config: Mapping[str, Any] | None = None,
        working_directory: str | os.PathLike[str] | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> lmstudio.PluginTools:
        """Prepare a session with the tools of a plugin, or of an MCP server of ``mcp.json``.

        Nothing is sent before it is opened::

            with client.plugins.tools("mcp/playwright") as tools:
                model.act("Open example.com.", [*tools, a_function])

        Args:
            plugin_identifier: ``owner/name``; that of an MCP server is ``mcp/`` and its name.
            config: Settings of the plugin by their keys, as JSON data; None: its own.
            working_directory: A folder on the server's machine that the plugin is given to work
                in; None: none.
            cancel_event: An event, or several, that close the session, also while it is opened.
            timeout: Seconds in which it must be open; None: no limit. An open session has none.
            idle_timeout: Seconds of silence of the server while it is opened; None: no limit. For
                both, ``...`` is the client's own setting.

        Returns:
            What is opened by ``with``, and iterated over for the tools.

        Raises:
            LMStudioValueError: An argument cannot be used.

        Endpoint: channel ``plugins/startToolUseSession``.
        """
        # Not needed by programs without tools.
        from .._requests.plugins import start_tools
        from .plugin_tools import PluginTools

        request = start_tools(plugin_identifier, config, working_directory)
        limits = call_limits(cancel_event, timeout, idle_timeout)
        return PluginTools(self._session, plugin_identifier, request, limits)


public(PluginsNamespace)
