"""`PluginTool`: a tool of a plugin or an MCP server, which LM Studio runs."""

from collections.abc import Callable
from typing import Any

import attrs

from .._api.public import public
from .tools import RawFunctionTool


@attrs.frozen(kw_only=True)
class PluginTool(RawFunctionTool):
    """A tool of a plugin or an MCP server, for the tools of `act()`: LM Studio runs it.

    It works as long as the session is open that it comes from. Where two plugins have a tool of the
    same name, ``attrs.evolve(tool, name="...")`` gives one of them another name for the model.

    Attributes:
        name: What the model calls it.
        description: What it does, for the model.
        parameters_json_schema: A schema of an object, the plugin's own.
        implementation: Calls it with the arguments by name, and returns what it returned. In the
            asyncio half this is to be awaited.
        plugin_identifier: The plugin, as ``mcp/playwright``.
    """

    implementation: Callable[..., Any] | None = attrs.field(default=None, repr=False)
    plugin_identifier: str


public(PluginTool)
