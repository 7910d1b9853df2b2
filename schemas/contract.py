"""What every contract has in common: how strict it is, and what its errors may show."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# The id of a comment is a Kafka key too; this holds any UUID or URL slug.
MOST_CHARACTERS_OF_AN_ID: Final = 256
MOST_CHARACTERS_OF_A_NAME: Final = 256

CommentId = Annotated[str, StringConstraints(min_length=1, max_length=MOST_CHARACTERS_OF_AN_ID)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=MOST_CHARACTERS_OF_A_NAME)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Contract(BaseModel):
    """A model that we write: frozen, closed, and silent about its input when it is wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ForeignContract(BaseModel):
    """A model that others write: what we do not know is ignored, so that they may add to it."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
