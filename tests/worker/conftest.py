"""Properties without a deadline: the machine is shared, and an example may have to wait."""

import importlib.util
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

# The full install only.
TORCH = ("test_flat_encoder.py", "test_fp8.py", "test_torch_engine.py")
collect_ignore = [] if importlib.util.find_spec("transformers") else list(TORCH)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tiny models are quicker on one thread, on a machine that others use far quicker."""
    import torch  # noqa: PLC0415 - the full install only

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
