"""Which engine serves a bundle on which machine, and the reason that the log gives."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from rig.stub import stub_manifest, stub_tokenise
from schemas.bundle import FLOAT_WEIGHTS, INT8_MODEL
from schemas.errors import SettingsError
from worker.bundle import Bundle
from worker.pulse import Pulse
from worker.scoring.choice import choose
from worker.scoring.load import load_scorer
from worker.scoring.vnni import lacks_vnni
from worker.settings import EngineChoice, ScoringSettings

INSTALLED = ("torch", "onnxruntime")
OLD_CPU = "flags\t\t: fpu sse2 avx avx2 fma"


class Machine(SimpleNamespace):
    """What a machine has: devices of GPUs, whether torch finds one, packages, a CPU."""

    gpu: str | None = None
    torch_finds_it: bool = True
    hidden: bool = False
    installed: tuple[str, ...] = INSTALLED
    cpu: str = OLD_CPU + " avx512_vnni"


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], None]:
    """Make this machine look like another."""

    def become(machine: Machine) -> None:
        devices = tuple(tmp_path / name for name in ("nvidiactl", "dxg", "kfd"))
        if machine.gpu:
            (tmp_path / machine.gpu).touch()
        info = tmp_path / "cpuinfo"
        info.write_text(f"processor\t: 0\nmodel name\t: any\n{machine.cpu}\nbugs\t\t: none\n")
        monkeypatch.setattr("worker.scoring.choice._GPU_DEVICES", devices)
        monkeypatch.setattr("worker.scoring.choice._NVIDIA", devices[0])
        monkeypatch.setattr(
            "worker.scoring.choice.torch_finds_a_gpu", lambda: machine.torch_finds_it
        )
        monkeypatch.setattr("worker.scoring.vnni.CPU_INFO", info)
        monkeypatch.setattr("platform.machine", lambda: "x86_64")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1" if machine.hidden else "0")
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name: object() if name in machine.installed else None,
        )

    return become


def bundle_with(folder: Path, *files: str) -> Bundle:
    """Return a bundle that has these files."""
    for name in files:
        (folder / name).touch()
    return Bundle(folder, stub_manifest(), hashed=False)


@pytest.mark.parametrize(
    ("machine", "engine", "why"),
    [
        (Machine(), "openvino", "no GPU is here"),
        (Machine(gpu="nvidiactl"), "torch", "a GPU is here"),
        # torch says what is wrong
        (Machine(gpu="nvidiactl", torch_finds_it=False), "torch", "a GPU is here"),
        (
            Machine(gpu="nvidiactl", hidden=True),
            "openvino",
            "the GPU is hidden (CUDA_VISIBLE_DEVICES)",
        ),
        (
            Machine(gpu="nvidiactl", installed=()),
            "openvino",
            "a GPU is here, but torch is not installed",
        ),
        (Machine(gpu="dxg"), "torch", "a GPU is here"),
        # every WSL has such a device; fp32 in its place would be several times slower
        (
            Machine(gpu="dxg", torch_finds_it=False),
            "openvino",
            "dxg is here, but torch finds no GPU",
        ),
        (Machine(cpu=OLD_CPU), "onnxruntime", "no GPU is here; this CPU has no VNNI"),
        (
            Machine(cpu=OLD_CPU, installed=()),
            "openvino",
            "no GPU is here; this CPU has no VNNI: `tidegate[onnxruntime]` would be faster",
        ),
        (Machine(cpu=OLD_CPU, gpu="nvidiactl"), "torch", "a GPU is here"),
    ],
)
def test_the_machine_decides_for_a_bundle_that_bears_any_engine(
    machine: Machine, engine: str, why: str, on: Callable[[Machine], None], tmp_path: Path
) -> None:
    """A GPU where torch can use it, else the int8 engine that is fastest on the CPU."""
    on(machine)
    bundle = bundle_with(tmp_path, INT8_MODEL, FLOAT_WEIGHTS)

    chosen = choose(bundle, EngineChoice.AUTO)

    assert (engine, why) == (chosen.engine, chosen.why.replace(f"{tmp_path}/", ""))


@pytest.mark.parametrize(
    ("files", "engine", "why"),
    [
        ((INT8_MODEL,), "onnxruntime", "the bundle has no model.safetensors; this CPU has no VNNI"),
        ((FLOAT_WEIGHTS,), "torch", "the bundle has no model.int8.onnx"),
    ],
)
def test_a_bundle_with_one_model_leaves_less_to_choose(
    files: tuple[str, ...],
    engine: str,
    why: str,
    on: Callable[[Machine], None],
    tmp_path: Path,
) -> None:
    """Whatever GPU there is."""
    on(Machine(gpu="nvidiactl", cpu=OLD_CPU))

    assert (engine, why) == choose(bundle_with(tmp_path, *files), EngineChoice.AUTO)


@pytest.mark.parametrize("wanted", ["openvino", "onnxruntime", "torch"])
def test_an_engine_that_is_asked_for_is_taken(
    wanted: EngineChoice, on: Callable[[Machine], None], tmp_path: Path
) -> None:
    """Even where another one is faster."""
    on(Machine(gpu="nvidiactl", cpu=OLD_CPU))

    chosen = choose(bundle_with(tmp_path, INT8_MODEL), EngineChoice(wanted))

    assert (wanted, "set by TIDEGATE_SCORING__ENGINE") == chosen


@pytest.mark.parametrize(
    ("engine", "missing", "extra"),
    [("onnxruntime", "onnxruntime", "onnxruntime"), ("torch", "torch, transformers", "gpu")],
)
def test_an_engine_that_is_not_installed_is_named_with_what_brings_it(
    engine: str, missing: str, extra: str, on: Callable[[Machine], None], tmp_path: Path
) -> None:
    """Before anything is loaded."""
    on(Machine(installed=()))
    bundle = bundle_with(tmp_path, INT8_MODEL, FLOAT_WEIGHTS)

    with pytest.raises(SettingsError, match=f"not installed: {missing}") as caught:
        load_scorer(bundle, ScoringSettings(engine=EngineChoice(engine)), stub_tokenise, Pulse())

    assert f"`tidegate[{extra}]`" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("architecture", "cpu", "lacks"),
    [
        ("x86_64", OLD_CPU, True),
        ("x86_64", OLD_CPU + " avx512_vnni amx_int8", False),
        ("x86_64", OLD_CPU + " avx_vnni", False),
        ("x86_64", "no flags at all", False),
        ("aarch64", "Features\t: fp asimd", False),  # its bytes are multiplied in other ways
    ],
)
def test_vnni_is_read_from_the_flags_of_the_cpu(
    architecture: str,
    cpu: str,
    lacks: bool,  # noqa: FBT001 - a table's column
    on: Callable[[Machine], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In either form: with AVX-512, or without it."""
    on(Machine(cpu=cpu))
    monkeypatch.setattr("platform.machine", lambda: architecture)

    assert lacks_vnni() == lacks


def test_where_nobody_tells_the_cpu_counts_as_a_new_one(
    on: Callable[[Machine], None], tmp_path: Path
) -> None:
    """MacOS has no such file."""
    on(Machine())
    (tmp_path / "cpuinfo").unlink()

    assert not lacks_vnni()
