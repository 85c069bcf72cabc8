"""What all sections of the configuration have in common. Pure."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping of known keys: an unknown one is an error, values are never coerced."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        populate_by_name=False,
        hide_input_in_errors=True,
        validate_default=False,
    )
