"""Calls inside a channel: packets of that channel start and stop them, and bring their answers."""

from __future__ import annotations

import queue
import weakref
from typing import TYPE_CHECKING, Any

from ..errors import LMStudioChannelClosedError
from .call import END, WAKE, Call, Outcome, encode

if TYPE_CHECKING:
    from .endpoints import Endpoint


class InnerCall(Call):
    """A call inside a channel, such as that of a tool in a session with a plugin.

    It has a claim, an inbox, time limits and a cancel of its own, as every call; but it goes where
    its channel goes, and ends with it. What stops the channel stops all that is inside: a cancel of
    its own is not sent beside that.

    Thread safety: that of `Call`.
    """

    __slots__ = ("channel",)

    def __init__(
        self,
        channel: Call,
        endpoint: Endpoint,
        parameter: dict[str, Any],
        *,
        timeout: float | None = None,
        idle_timeout: float | None = None,
    ) -> None:
        """Prepare a call inside a channel that is ready; nothing is sent yet.

        Args:
            channel: The channel.
            endpoint: What is called, made by `call_inside`.
            parameter: The fields of the packet that starts it, but for its type and number.
            timeout: Seconds for the whole call, or None.
            idle_timeout: Seconds in which the server says nothing about it, or None.
        """
        super().__init__(
            channel.dispatcher, endpoint, parameter, timeout=timeout, idle_timeout=idle_timeout
        )
        self.channel = channel

    def _start_message(self) -> dict[str, Any]:
        packet = {"type": self.endpoint.name, "callId": self.id, **self.parameter}
        return self.channel._in_channel(packet)

    def stop_text(self) -> bytes:
        """Return the message that stops the call, as JSON."""
        return encode(self.channel._in_channel({"type": self.stop, "callId": self.id}))

    @property
    def has_begun(self) -> bool:
        """Whether all that starts the call was written, and its channel goes on."""
        is_over = self.channel.cancel_seen or self.channel.outcome is not None
        return super().has_begun and not is_over

    def end_from_outside(self) -> Outcome | None:
        """How it ends since its channel has ended, or is cancelled; None: it goes on."""
        channel = self.channel
        if channel.is_cancelled:
            self.claim.set(channel.reason)
            return Outcome()
        if channel.outcome is None:
            return None
        error = channel.outcome.error
        if error is None or isinstance(error, LMStudioChannelClosedError):
            words = f"{self.endpoint.label} failed: LM Studio has ended the session that it was in."
            error = LMStudioChannelClosedError(words)
        return Outcome(error=error)


class ChannelInbox:
    """Stands in the place of a channel's inbox: packets for calls inside it go to their inboxes.

    Attributes:
        inbox: What the thread reads that opens the channel. Nothing is put there once it is open,
            but for markers and the terminal item.
    """

    __slots__ = ("_channel", "_is_ready", "inbox")

    def __init__(self, channel: Call, inbox: queue.SimpleQueue[Any]) -> None:
        """Stand before `inbox`."""
        self._channel = weakref.ref(channel)  # which holds this
        self._is_ready = False
        self.inbox = inbox

    def put(self, item: Any) -> None:
        """Take what comes for the channel: markers in any thread, all else in the I/O thread."""
        channel = self._channel()
        if channel is not None and item is not WAKE:
            if item is END:
                self._end_all_inside(channel)
            elif not self._is_for_opener(channel, item):
                return
        self.inbox.put(item)

    def _is_for_opener(self, channel: Call, packet: dict[str, Any]) -> bool:
        """Return whether a packet is for who opens the channel; else give it to its call."""
        if "callId" in packet:
            self._give(channel, packet)
            return False
        was_ready = self._is_ready
        if packet["type"] == channel.endpoint.ready:
            # Here, since what is read late has not come late.
            channel.timeout = channel.idle_timeout = None
            self._is_ready = True
        return not was_ready

    def _give(self, channel: Call, packet: dict[str, Any]) -> None:
        number = packet["callId"]
        # 1.0 and true, which a dict has in the place of 1, are numbers of no call.
        call = channel.dispatcher.open.get(number) if number.__class__ is int else None
        if isinstance(call, InnerCall) and call.channel is channel:  # else it has ended
            call.heard = channel.heard
            if packet["type"] in call.endpoint.finals:
                channel.dispatcher.end(call, Outcome(packet))
            else:
                call.inbox.put(packet)

    def _end_all_inside(self, channel: Call) -> None:
        channel.claim_end()  # nobody waits for it once it is open; no event need be watched
        for call in list(channel.dispatcher.open.values()):
            if isinstance(call, InnerCall) and call.channel is channel:
                end = call.end_from_outside()
                assert end is not None, "the channel has not ended"
                channel.dispatcher.end(call, end)
