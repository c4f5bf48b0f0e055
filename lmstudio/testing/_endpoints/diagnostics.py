"""The namespace `diagnostics`: the log."""

from __future__ import annotations

from typing import Any

from .._core.channel import Channel
from .._core.core import Core


async def stream_logs(core: Core, channel: Channel, parameter: Any) -> None:
    """Serve `streamLogs`: what models are given and what they answer, from now on."""
    core.log_channels |= {channel}
    try:
        await channel.cancelled.wait()
    finally:
        core.log_channels -= {channel}
