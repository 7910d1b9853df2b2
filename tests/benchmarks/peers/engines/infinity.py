"""infinity-emb's classification, in process (kinder to it than HTTP), batched by its own queue."""

from collections.abc import Sequence
from pathlib import Path

from infinity_emb import EngineArgs, SyncEngineArray
from infinity_emb.transformer.classifier import optimum

from benchmarks.peers.engines.engine import Engine, Scores, in_order, labels_of
from benchmarks.peers.files import INFINITY_MODEL


def load(folder: Path, engine: str) -> Engine:
    """Load an engine of infinity's: `torch`, or `optimum` with a file in int8.

    Its warm-up is left out: the benchmark warms every engine up alike.
    """
    if engine == "optimum":
        # 0.0.78 hands a path on where a bare name is wanted, and so loads no local folder.
        optimum.get_onnx_files = lambda **_: Path(INFINITY_MODEL)
    name = str(folder)
    args = EngineArgs(
        model_name_or_path=name,
        served_model_name=name,
        engine=engine,
        device="cpu",
        trust_remote_code=False,
        model_warmup=False,
        onnx_disable_optimize=True,  # it would write beside the model
    )
    engines = SyncEngineArray.from_args([args])
    labels = labels_of(folder)

    def score(texts: Sequence[str]) -> Scores:
        found, _ = engines.classify(model=name, sentences=list(texts)).result()
        return [in_order(entry, labels) for entry in found]

    return score
