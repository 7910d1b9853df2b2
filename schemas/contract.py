"""What every contract has in common: how strict it is, and what its errors may show."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# The id of a comment is a Kafka key and a part of ours; 256 characters hold any UUID or URL slug.
CommentId = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Contract(BaseModel):
    """A model that we write: frozen, closed, and silent about its input when it is wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ForeignContract(BaseModel):
    """A model that others write: what we do not know is ignored, so that they may add to it."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
