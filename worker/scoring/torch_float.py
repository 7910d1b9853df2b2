"""The float engine: torch on a GPU in bf16, or on a CPU in fp32, as the reference.

From a bundle with float weights, or from any checkpoint with a classification head that
transformers knows. safetensors only; nothing that a model file says is run.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from schemas.bundle import CONFIG
from schemas.errors import BundleError, ScoringError
from worker.batching import MicroBatch, padded
from worker.pulse import Pulse
from worker.scoring.engine import DeviceMemoryError, Logits

GPU_BUDGET: Final = 16_384  # tokens; fills an H100 at hidden size 384 and stays in its L2
CPU_BUDGET: Final = 1_024

# What of config.json may reach transformers. The rest is left out: a config has carried code
# before (CVE-2026-4372, CVE-2026-5241).
ALLOWED_CONFIG: Final = frozenset(
    [
        "attention_dropout",
        "attention_probs_dropout_prob",
        "bos_token_id",
        "classifier_bias",
        "classifier_dropout",
        "classifier_pooling",
        "cls_token_id",
        "decoder_bias",
        "dim",
        "dropout",
        "embedding_dropout",
        "embedding_size",
        "eos_token_id",
        "global_attn_every_n_layers",
        "global_rope_theta",
        "hidden_act",
        "hidden_activation",
        "hidden_dim",
        "hidden_dropout_prob",
        "hidden_size",
        "id2label",
        "initializer_range",
        "intermediate_size",
        "label2id",
        "layer_norm_eps",
        "local_attention",
        "local_rope_theta",
        "max_position_embeddings",
        "mlp_bias",
        "mlp_dropout",
        "n_heads",
        "n_layers",
        "norm_bias",
        "norm_eps",
        "num_attention_heads",
        "num_hidden_layers",
        "pad_token_id",
        "position_embedding_type",
        "problem_type",
        "qa_dropout",
        "seq_classif_dropout",
        "sep_token_id",
        "sinusoidal_pos_embds",
        "tie_word_embeddings",
        "type_vocab_size",
        "vocab_size",
    ]
)


class TorchFloat:
    """A sequence classifier on the best device that torch finds.

    Args:
        folder: of config.json and model.safetensors.
        pulse: beaten as micro-batches end.

    Raises:
        BundleError: the folder holds no classifier that transformers can load.
    """

    requests = 1  # the device computes one micro-batch with all that it has
    pads = True

    def __init__(self, folder: Path, pulse: Pulse) -> None:
        self._pulse = pulse
        on_gpu = torch.cuda.is_available()
        self._device = torch.device("cuda" if on_gpu else "cpu")
        self._dtype = torch.bfloat16 if on_gpu else torch.float32
        self.budget = GPU_BUDGET if on_gpu else CPU_BUDGET
        try:
            model = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=_allowed_config(folder),
                dtype=self._dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise BundleError(
                f"{folder.name}: transformers cannot load it: {error}",
                "config.json and model.safetensors of a sequence classifier are needed",
            ) from error
        self._model = model.eval().to(self._device)

    @property
    def description(self) -> str:
        """Engine, device and number type, for the log."""
        name = torch.cuda.get_device_name() if self._device.type == "cuda" else "CPU"
        return f"torch {str(self._dtype).removeprefix('torch.')} on {name}"

    def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        """Return the logits of each micro-batch, [pieces, labels], in order.

        Raises:
            DeviceMemoryError: a micro-batch does not fit the GPU.
            ScoringError: any other error of the device: nothing after it can be trusted.
        """
        results = []
        try:
            with torch.inference_mode():
                for batch in batches:
                    results.append(self._forward(batch))
                    self._pulse.beat()
            return [result.cpu().numpy() for result in results]
        except torch.OutOfMemoryError:
            pass  # its traceback keeps the tensors alive: go on below, outside the handler
        except RuntimeError as error:
            raise ScoringError(f"{self.description}: {type(error).__name__}") from error
        results.clear()
        torch.cuda.empty_cache()
        raise DeviceMemoryError(f"{self.description}: out of memory")

    def _forward(self, batch: MicroBatch) -> torch.Tensor:
        rows = padded(batch)
        ids = torch.from_numpy(rows.ids).to(self._device, non_blocking=True)
        mask = torch.from_numpy(rows.mask).to(self._device, non_blocking=True)
        logits: torch.Tensor = self._model(input_ids=ids, attention_mask=mask).logits
        return logits.float()


def _allowed_config(folder: Path) -> Any:
    found = json.loads((folder / CONFIG).read_bytes())
    kept = {name: value for name, value in found.items() if name in ALLOWED_CONFIG}
    kept["id2label"] = {int(number): label for number, label in kept.get("id2label", {}).items()}
    return AutoConfig.for_model(found["model_type"], **kept)
