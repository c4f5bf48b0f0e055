"""Which models are downloaded and which are loaded: identifiers, queries, idle limits."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from .._engines.models_on_disk import Domain, Model, fit, variant_of
from .._protocol import errors
from .._protocol.json_checks import MISSING
from .prediction import Prediction


class Running(Protocol):
    """A prediction on an instance."""

    record: Prediction

    def stop(self, reason: str) -> None:
        """End the prediction with this reason."""


@attrs.frozen
class Found:
    """What a name means on the disk: a model, and which of its variants (None: it has none).

    Attributes:
        alike: The keys of all models that the name fits as well, if there are several.
    """

    model: Model
    variant: str | None
    alike: Sequence[str] = ()

    @property
    def which(self) -> tuple[str, str | None, str | None]:
        """The key, the variant, and the device that has it."""
        return self.model.key, self.variant, self.model.device_identifier

    def info(self) -> dict[str, Any]:
        """Return the description that goes over the wire."""
        info = self.model.info()
        if self.variant is not None:
            info["selectedVariant"] = self.variant
        return info

    def identifier(self, asked: str) -> str:
        """Return what it is called when it is loaded just in time under a name.

        The key, like everything that is loaded; but LM Studio's own tests expect the path of the
        file where that is the name.
        """
        path = self.model.file_path()
        return path if asked == path else self.model.key


class Instance:
    """A loaded model. Loop thread only, but for `info`."""

    def __init__(
        self,
        found: Found,
        identifier: str,
        fields: list[dict[str, Any]],
        ttl_ms: int | None,
        jit: bool,
    ) -> None:
        self.found = found
        self.model: Model = found.model
        self.identifier = identifier
        self.reference: str = secrets.token_urlsafe(12)
        self.fields = fields
        self.ttl_ms = ttl_ms
        self.jit = jit
        self.last_used: int | None = None
        self.running: set[Running] = set()
        self.embedding = 0
        self.timer: asyncio.TimerHandle | None = None
        self._waiting: deque[asyncio.Event] = deque()
        self._busy = 0

    @property
    def context_length(self) -> int:
        """Context length in tokens: what the load config says, else a common default."""
        for field in self.fields:
            if field["key"].endswith(".load.contextLength") and field.get("value"):
                return int(field["value"])
        return min(4096, self.model.max_context_length)

    def places(self, most: int) -> int:
        """How many predictions run at once: what the load config says, else `most`."""
        for field in self.fields:
            if field["key"] == "llm.load.numParallelSessions" and field.get("value"):
                return int(field["value"])
        return most

    @property
    def queued(self) -> int:
        """How many predictions wait for a free slot."""
        return len(self._waiting)

    def fit(self, name: str) -> int:
        """Return how well a name fits: 3 if it is the identifier, else as it fits the model."""
        return 3 if name == self.identifier else self.fit_model(name)

    def fit_model(self, name: str) -> int:
        """Return how well a name fits the model; not at all if it is that of another variant."""
        asked = variant_of(self.model, name)
        return 0 if asked not in (None, self.found.variant) else fit(self.model, name)

    def info(self) -> dict[str, Any]:
        """Return the description that goes over the wire."""
        return {
            **self.found.info(),
            "identifier": self.identifier,
            "instanceReference": self.reference,
            "ttlMs": self.ttl_ms,
            "lastUsedTime": self.last_used,
            "contextLength": self.context_length,
        }

    def status(self) -> str:
        """Return what the instance does now, in the words of the wire."""
        phases = [one.record.phase for one in self.running]
        if "generating" in phases:
            return "generating"
        if "prefill" in phases:
            return "processingPrompt"
        return "computingEmbedding" if self.embedding else "idle"

    def load_config(self) -> dict[str, Any]:
        """Return the load config that is in force."""
        key = f"{self.model.type}.load.contextLength"
        fields = [field for field in self.fields if field["key"] != key]
        return {"fields": [*fields, {"key": key, "value": self.context_length}]}

    async def enter(self, slots: int, stopped: asyncio.Event) -> bool:
        """Wait for a slot, first come first served; False if stopped before."""
        if self._busy < slots and not self._waiting:
            self._busy += 1
            return True
        turn = asyncio.Event()
        self._waiting.append(turn)
        waits = [asyncio.ensure_future(turn.wait()), asyncio.ensure_future(stopped.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._give_up(turn)
            raise
        finally:
            for wait in waits:
                wait.cancel()
        if stopped.is_set():
            self._give_up(turn)
            return False
        return True

    def _give_up(self, turn: asyncio.Event) -> None:
        if turn.is_set():
            self.leave()
        else:
            self._waiting.remove(turn)

    def leave(self) -> None:
        """Give the slot to the next one that waits."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._busy -= 1


class Registry:
    """The models of a server. Loop thread only."""

    def __init__(self, models: Sequence[Model], changed: Callable[[], None]) -> None:
        self.models: list[Model] = list(models)
        self.preferred_device: Any = MISSING  # of LM Link; None is the server itself
        self._instances: dict[str, Instance] = {}
        self._changed = changed

    def loaded(self, domain: Domain | None = None) -> list[Instance]:
        """Return the loaded instances, of one domain or all."""
        return [
            one for one in self._instances.values() if domain is None or one.model.type == domain
        ]

    def model(self, name: str, domain: Domain, device: Any = MISSING) -> Found:
        """Return the downloaded model of the domain that goes by the name, on a device or any."""
        found = self.any_model(name, domain, device)
        if found.model.type != domain:
            raise errors.domain_mismatch(name, found.model.type, domain)
        return found

    def any_model(self, name: str, domain: Domain | None = None, device: Any = MISSING) -> Found:
        """Return the downloaded model that goes by the name, of the domain if one of it does."""

        def rank(model: Model) -> tuple[bool, int, bool, int]:
            is_named = model.key.lower() == name.lower()
            return model.type == domain, fit(model, name), is_named, self._nearness(model)

        fitting = [one for one in self.models if fit(one, name) and _is_on(one, device)]
        if not fitting:
            keys = [one.key for one in self.models]
            elsewhere = [one.device_identifier for one in self.models if fit(one, name)]
            if elsewhere:
                raise errors.not_on_device(name, device, elsewhere, keys)
            raise errors.path_not_found(name, keys)
        best = max(map(rank, fitting))
        first, *others = [one for one in fitting if rank(one) == best]
        variant = variant_of(first, name) or next(iter(first.variants), None)
        return Found(first, variant, [one.key for one in (first, *others)] if others else ())

    def _nearness(self, model: Model) -> int:
        """Return where a model is looked for: on the preferred device, here, then elsewhere."""
        if model.device_identifier == self.preferred_device:
            return 2
        return int(model.device_identifier is None)

    def draft(self, name: str, with_code: bool = False) -> Found:
        """Return the downloaded LLM that is to be the draft model; an error may have a code."""
        try:
            found = self.any_model(name, "llm")
        except errors.EndpointError as problem:
            more = {"displayData": problem.error["displayData"]} if with_code else {}
            llms = [one.key for one in self.models if one.type == "llm"]
            raise errors.draft_not_found(name, llms, more) from None
        if found.model.type != "llm":
            raise errors.draft_is_no_llm(name, found.model.type)
        return found

    def get(self, identifier: str, domain: Domain) -> Instance | None:
        """Return the instance with exactly this identifier."""
        found = self._instances.get(identifier)
        return found if found is not None and found.model.type == domain else None

    def named(self, name: str, domain: Domain, device: Any = MISSING) -> Instance | None:
        """Return the instance that goes by the name: by its identifier, or as its model does."""
        found = [one for one in self.loaded(domain) if one.fit(name) and _is_on(one.model, device)]
        return max(found, key=lambda one: self._rank(one, name), default=None)

    def _rank(self, instance: Instance, name: str) -> tuple[int, ...]:
        nearness = self._nearness(instance.model)
        return instance.fit(name), nearness, instance.last_used or 0

    def find(self, domain: Domain, specifier: dict[str, Any]) -> Instance:
        """Return the instance that a specifier means, or raise the error for the client."""
        instances = self.loaded(domain)
        if specifier["type"] == "instanceReference":
            for one in instances:
                if one.reference == specifier["instanceReference"]:
                    return one
            raise errors.specific_model_unloaded()
        query = specifier["query"]
        matches = [one for one in instances if _matches(one, query, domain)]
        if not matches:
            raise errors.no_model_matching_query(query, [one.identifier for one in instances])
        wanted = query.get("identifier", query.get("path", ""))
        return max(matches, key=lambda one: self._rank(one, wanted))

    def is_taken(self, identifier: str) -> bool:
        """Whether a loaded instance has the identifier."""
        return identifier in self._instances

    def free_identifier(self, key: str) -> str:
        """Return the key, or the key with ":2", ":3", ... if it is taken."""
        if key not in self._instances:
            return key
        return next(
            name for n in itertools.count(2) if (name := f"{key}:{n}") not in self._instances
        )

    def add(
        self,
        found: Found,
        identifier: str,
        fields: list[dict[str, Any]],
        ttl_ms: int | None = None,
        jit: bool = False,
    ) -> Instance:
        """Add a loaded instance."""
        if identifier in self._instances:
            raise errors.identifier_taken(identifier)
        instance = Instance(found, identifier, fields, ttl_ms, jit)
        self._instances[identifier] = instance
        self.rest(instance)
        self._changed()
        return instance

    def remove(self, instance: Instance) -> None:
        """Unload an instance; what it generates ends with "modelUnloaded"."""
        if self._instances.get(instance.identifier) is instance:
            del self._instances[instance.identifier]
        if instance.timer is not None:
            instance.timer.cancel()
        for one in list(instance.running):
            one.stop("modelUnloaded")
        self._changed()

    def unload(self, identifier: str, domain: Domain, device: Any = MISSING) -> None:
        """Unload the instance with the identifier, if it is on the device."""
        instance = self.get(identifier, domain)
        if instance is None or not _is_on(instance.model, device):
            there = [key for key, one in self._instances.items() if _is_on(one.model, device)]
            raise errors.identifier_not_found(identifier, there)
        self.remove(instance)

    def use(self, instance: Instance) -> None:
        """Note that the instance is used now: its idle time starts anew."""
        instance.last_used = int(time.time() * 1000)
        if instance.timer is not None:
            instance.timer.cancel()
            instance.timer = None

    def rest(self, instance: Instance) -> None:
        """Note that a use is over: an instance with an idle limit will be unloaded."""
        if instance.timer is not None:
            instance.timer.cancel()
        if instance.ttl_ms is not None and not (instance.running or instance.embedding):
            loop = asyncio.get_running_loop()
            instance.timer = loop.call_later(instance.ttl_ms / 1000, self.remove, instance)


def _matches(instance: Instance, query: dict[str, Any], domain: Domain) -> bool:
    identifier, path = query.get("identifier"), query.get("path")
    return (
        query.get("domain", domain) == domain
        and (identifier is None or instance.fit(identifier) > 0)
        and (path is None or instance.fit_model(path) > 0)
        and (query.get("vision") is None or query["vision"] == instance.model.vision)
        and _is_on(instance.model, query.get("deviceIdentifier", MISSING))
    )


def _is_on(model: Model, device: Any) -> bool:
    """Whether a model is on a device; None is the server itself, MISSING any."""
    return device is MISSING or device == model.device_identifier
