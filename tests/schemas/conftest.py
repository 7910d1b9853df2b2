"""Properties without a deadline: the machine is shared, and an example may have to wait."""

from hypothesis import settings

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
