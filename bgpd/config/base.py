"""What all sections of the configuration have in common. Pure."""

from typing import Final

from pydantic import BaseModel, ConfigDict

MAX_TEXT: Final = 1_000  # characters; the running daemon logs and compiles some of them


class Section(BaseModel):
    """A mapping of known keys: an unknown one is an error, values are never coerced."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        populate_by_name=False,
        hide_input_in_errors=True,
        validate_default=False,
        str_max_length=MAX_TEXT,
    )
