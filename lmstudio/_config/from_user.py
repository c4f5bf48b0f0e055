"""Reads configurations as users write them: in either spelling, checked, with clear errors."""

from __future__ import annotations

import difflib
import functools
import sys
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from .._api.backports import Self
from .._api.numbers import as_bool, as_number, as_whole
from .._api.shown import shown
from .._api.warn import warn_of_option
from .._json.annotations import type_hints
from .._json.converter import DictObject, LMStudioStruct, camel_case, camel_keys
from ..errors import LMStudioValueError

_NO_FIT: Any = object()
# What some write among the options, and is an argument of a call.
_ARGUMENTS = {
    "ttl": "model()",
    "timeout": "the call",
    "idle_timeout": "the call",
    "cancel_event": "the call",
    "preset": "respond()",
    "response_format": "respond()",
    "tools": "act()",
}
# What other APIs call an option; without underscores and capitals.
_ELSEWHERE = {
    "maxcompletiontokens": "maxTokens",
    "npredict": "maxTokens",
    "numpredict": "maxTokens",
    "numctx": "contextLength",
    "nctx": "contextLength",
    "ngpulayers": "gpu",
    "gpuoffload": "gpu",
}
_LIKE_BEGINNING = 0.25  # the share of a name that its beginning must be, to be meant
_LIKENESS = 0.75
_WORDS: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "a string",
    list: "a list",
    Mapping: "a dict",
}


# Python's own pickling, unlike that of attrs, keeps slots that are no fields.
@attrs.define(repr=False, getstate_setstate=False)
class Config(LMStudioStruct):
    """Base class of configurations."""

    @classmethod
    def from_dict(cls, data: DictObject) -> Self:
        """Make a configuration from a dict with camelCase or snake_case keys.

        Raises:
            LMStudioValueError: a value of the wrong type.

        An option that does not exist is left out, with an `LMStudioOptionWarning`.
        """
        return read_config(data, cls)


class Reported(Config):
    """Base class of configurations that remember what of them a server reported.

    It is no field: it plays no part in equality, in printing or in dicts. A copy and a pickle keep
    it; what is made from the values, as by ``attrs.evolve()`` or ``to_dict()``, is a new
    configuration, as if made by hand.
    """

    __slots__ = ("_originals", "_reported")
    # Options that rules are about, by name, as they were reported.
    _reported: dict[str, Any]
    # Where an option says less than the server: by key, the option's name and value, and what the
    # server said, which holds as long as the option has that value.
    _originals: dict[str, tuple[str, Any, Any]]

    def _kept(self) -> dict[str, Any]:
        """Return what the server said, by key, of such options that were not changed since."""
        return {
            key: said
            for key, (name, value, said) in getattr(self, "_originals", {}).items()
            # False and 0 are equal.
            if type(now := getattr(self, name)) is type(value) and now == value
        }

    def _overrule(self, name: str, value: Any) -> None:
        """Set an option by a rule; what the server said of it holds no more."""
        setattr(self, name, value)
        originals = getattr(self, "_originals", {})
        self._originals = {key: said for key, said in originals.items() if said[0] != name}


C = TypeVar("C", bound=Config)


def read_config(
    config: object, cls: type[C], is_strict: bool = False, what: str = "A configuration"
) -> C:
    """Return ``config`` as a new, checked instance of ``cls``; reading it again changes nothing.

    Args:
        config: an instance of ``cls``, a dict with camelCase or snake_case keys, or None.
        cls: one of the configuration classes.
        is_strict: an option that does not exist is an error; otherwise it is left out, and the
            caller is warned.
        what: What it is, for the error.

    Raises:
        LMStudioValueError: an option given twice, or a value of the wrong type.
    """
    table: Any = cls  # mypy takes a class for unhashable when its instances are
    values: dict[str, Any] = {}
    if isinstance(config, cls):
        values = {field.name: getattr(config, field.name) for field in attrs.fields(cls)}
    elif isinstance(config, Mapping):
        for key, value in config.items():
            name = _names(table).get(key)
            if name is None:
                tell_of_unknown_option(key, cls, is_strict)
                continue
            if name in values:
                raise LMStudioValueError(
                    f"{cls.__name__} option {name!r} is given twice, as {camel_case(name)!r} too: "
                    "write one of the two."
                )
            values[name] = value
    elif config is not None:
        hint = f" Write {config.__name__}(...)." if config is cls else ""
        raise LMStudioValueError(
            f"{what} is a dict of options or a {cls.__name__}, not {_short(config)}.{hint}"
        )
    hints = _hints(table)
    checked = {
        name: _checked(name, value, hints[name], cls, is_strict)
        for name, value in values.items()
        if value is not None
    }
    for field in attrs.fields(cls):
        if field.default is attrs.NOTHING and field.name not in checked:
            raise LMStudioValueError(f"{cls.__name__} needs {field.name!r}.")
    read = cls(**checked)
    for memory in Reported.__slots__:
        if hasattr(config, memory):
            setattr(read, memory, getattr(config, memory))
    return read


@functools.cache
def _names(cls: Any) -> dict[str, str]:
    names = [field.name for field in attrs.fields(cls)]
    return {camel_case(name): name for name in names} | {name: name for name in names}


_hints = functools.cache(type_hints)


def _checked(name: str, value: Any, hint: Any, cls: type[Config], is_strict: bool) -> Any:
    """Return the value for an option of this type, nested dicts in the spelling of the wire."""
    members = [member for member in _members(hint) if member is not type(None)]
    for member in members:
        if isinstance(member, type) and issubclass(member, Config):
            return read_config(value, member, is_strict, f"{cls.__name__}.{name}")
    fitted = next((v for m in members if (v := _fitted(value, m)) is not _NO_FIT), _NO_FIT)
    if fitted is _NO_FIT:
        words = " or ".join(_word(member) for member in members)
        raise LMStudioValueError(f"{cls.__name__}.{name} takes {words}, not {_short(value)}.")
    return camel_keys({name: fitted})[camel_case(name)]


def fits(name: str, value: Any, cls: Any) -> bool:
    """Tell whether an option of ``cls`` takes this value, which is no dict of options."""
    if any([_fitted(value, member) is not _NO_FIT for member in _members(_hints(cls)[name])]):
        own: Any = type(value)
        return not isinstance(value, Config) or all(
            fits(field.name, getattr(value, field.name), own) for field in attrs.fields(own)
        )
    return False


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _fitted(value: Any, hint: Any) -> Any:
    """Return the value as this type has it: a number of any class as Python's own."""
    origin = get_origin(hint) or hint
    if origin is Any:
        return value
    if origin is Literal or origin is bool:
        truth = as_bool(value)
        is_one = truth is not None and (origin is bool or truth in get_args(hint))
        return truth if is_one else _NO_FIT
    if origin is float:
        number = as_number(value)
        # An int may be beyond any float.
        return _NO_FIT if number is None or not abs(number) <= sys.float_info.max else number
    if origin is int:
        whole = as_whole(value)
        return _NO_FIT if whole is None else whole
    if origin is list:
        (item,) = get_args(hint)
        if not isinstance(value, (list, tuple)):
            return _NO_FIT
        parts = [_fitted(part, item) for part in value]
        return _NO_FIT if any(part is _NO_FIT for part in parts) else parts
    return value if isinstance(value, origin) else _NO_FIT


def _word(hint: Any) -> str:
    origin = get_origin(hint) or hint
    if origin is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if origin is list and get_args(hint)[0] in _WORDS:
        return f"a list, each item {_WORDS[get_args(hint)[0]]}"
    return _WORDS[origin]


def _short(value: object) -> str:
    return f"{shown(value, 60)} ({type(value).__name__})"


# -- options that do not exist ------------------------------------------------------------------


def tell_of_unknown_option(key: object, cls: type[Config], is_strict: bool) -> None:
    """Warn of an option that does not exist, and is left out.

    Raises:
        LMStudioValueError: Such options are an error.
    """
    hint = _hint(key, cls)
    if is_strict:
        raise LMStudioValueError(f"Unknown option {shown(key)}: {hint}.")
    warn_of_option(f"The option {shown(key)} does not exist and is left out: {hint}.")


def _hint(key: object, cls: Any) -> str:
    """Return what may have been meant."""
    every = f"help(lmstudio.{cls.__name__}) lists all options"
    wanted = _plain(key)
    for name, call in _ARGUMENTS.items():
        if wanted == _plain(name):
            return f"{name}= is an argument of {call}. {every}"
    others: list[Any] = [*Reported.__subclasses__(), *Config.__subclasses__()]
    owner = next((other.__name__ for other in others if key in _names(other)), None)
    if owner is not None:
        return f"it is one of {owner}. {every}"
    # However it is written: as elsewhere, by its beginning ("top_p"), or by its likeness.
    plain = {_plain(name): name for name in reversed(_names(cls))}
    wanted = _plain(_ELSEWHERE.get(wanted, key))
    near = [name for name in plain if wanted and name.startswith(wanted)]
    near = [name for name in sorted(near, key=len) if len(wanted) >= _LIKE_BEGINNING * len(name)]
    near = near or difflib.get_close_matches(wanted, plain, n=1, cutoff=_LIKENESS)
    return f"did you mean {plain[near[0]]!r}? {every}" if near else every


def _plain(name: object) -> str:
    return str(name).replace("_", "").lower()
