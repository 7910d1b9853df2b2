"""What a request is answered with when it is not judged."""

from collections.abc import Mapping
from typing import Any, Final

ERROR_TYPE: Final = "type.googleapis.com/google.commentanalyzer.v1alpha1.Error"

INFO_TYPE: Final = "type.googleapis.com/google.rpc.ErrorInfo"

# What clients read in `details` where Perspective has no error type of its own; some read it
# without a look whether it is there.
REASON: Final = {
    403: "API_KEY_INVALID",
    429: "RATE_LIMIT_EXCEEDED",
    503: "SERVICE_UNAVAILABLE",
}

# Google's names for what HTTP says in a number.
STATUS: Final = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class ApiError(Exception):
    """A request that is refused. The message never holds what was sent.

    Args:
        code: of HTTP.
        message: what is wrong and where.
        error_type: Perspective's name for it, if it has one.
        more: beside the error type in its details.
        retry_after_s: when it is worth another try, in seconds.

    Attributes:
        is_counted: against a key's allowance: of a comment that a person is to look at.
    """

    is_counted = False

    def __init__(
        self,
        code: int,
        message: str,
        error_type: str | None = None,
        more: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.error_type = error_type
        self.more = more or {}
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """Return it in the form that Google's clients read."""
        status = STATUS[self.code]
        if self.error_type:
            detail = {"@type": ERROR_TYPE, "errorType": self.error_type, **self.more}
        else:
            reason = REASON.get(self.code, status)
            detail = {"@type": INFO_TYPE, "reason": reason, "domain": "tidegate"}
        error = {"code": self.code, "message": self.message, "status": status}
        return {"error": error | {"details": [detail]}}


def invalid(message: str, error_type: str = "INVALID_REQUEST", **more: Any) -> ApiError:
    """Return the error of a request that is wrong in itself."""
    return ApiError(400, message, error_type, more)


def the_server_stops() -> ApiError:
    """Return the error of a request that comes, or is still unanswered, at the server's end."""
    return ApiError(503, "The server is stopping.", retry_after_s=1)
