"""Names of files that the benchmark's model has beside those of a bundle."""

from typing import Final

DYNAMIC_INT8: Final = "model.dynamic-int8.onnx"  # of the serving graph, for ONNX Runtime
INFINITY_MODEL: Final = "model_quantized.onnx"  # of the whole model, under the name optimum gives
