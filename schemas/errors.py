"""The errors that leave a part of tidegate, drawn once.

TidegateError                 what a person can mend: it says where, what was found, what was
|                             expected and what to do; its text never holds a comment
+-- BundleError               a bundle is incomplete, changed or of another shape
+-- SettingsError             a setting is wrong, unknown or missing
+-- CommentsFileError         a file of comments cannot be read, named by file and line
+-- BrokerError               the local broker cannot be had, started or kept
+-- TopicError                a topic is missing or has the wrong settings
+-- ClusterError              the cluster refused us, or left us in doubt
+-- ScoringError              the device or the engine failed
+-- TrainingError             the trainer cannot go on
"""


class TidegateError(Exception):
    """A failure with a way out.

    Args:
        what: the place, what was found and what was expected, in one sentence.
        hint: what to do about it.
    """

    def __init__(self, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class BundleError(TidegateError):
    """A bundle is incomplete, changed or of another shape."""


class SettingsError(TidegateError):
    """A setting is wrong, unknown or missing."""


class CommentsFileError(TidegateError):
    """A file of comments cannot be read."""


class BrokerError(TidegateError):
    """The local broker cannot be had, started or kept."""


class TopicError(TidegateError):
    """A topic is missing or has the wrong settings."""


class ClusterError(TidegateError):
    """The cluster refused us, or left us in doubt about a commit."""


class ScoringError(TidegateError):
    """The device or the engine failed."""


class TrainingError(TidegateError):
    """The trainer cannot go on."""
