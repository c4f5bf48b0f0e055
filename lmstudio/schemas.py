"""The official package's module of this name: schemas of structured replies."""

from typing import TYPE_CHECKING

from ._api.official_path import hand_on

if TYPE_CHECKING:
    from . import *
    from ._json.converter import *
else:
    __all__, __getattr__, __dir__ = hand_on(
        __name__,
        """
        AnyLMStudioStruct BaseModel DictObject DictSchema ModelSchema ValidationError
        """,
    )
