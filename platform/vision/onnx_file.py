"""Networks in ONNX files, given by path and sha256."""

from __future__ import annotations

import numpy as np

from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.weights import read_weights

CUDA_PROVIDER, CPU_PROVIDER = "CUDAExecutionProvider", "CPUExecutionProvider"
FIXED = {"cudnn_conv_algo_search": "DEFAULT", "use_tf32": "0"}
"""On a GPU: else the last decimals would depend on which algorithm was fastest that day."""


class OnnxNetwork:
    """A file's network; `names` and `shapes` are its inputs', a side that is left open being None.

    Args:
        weights: path or URI of the file.
        sha256: of that file; not checked where empty.
        device: "cpu" or "cuda".
        threads: on the CPU.

    Raises:
        RequestError: the file is not there, not the one that was meant, or no network that runs here.
    """

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu", threads: int = 1) -> None:
        import onnxruntime

        content = read_weights(weights, sha256)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.use_deterministic_compute = True
        options.log_severity_level = 3  # errors: its warnings are about graphs, for those who made them
        provider = CUDA_PROVIDER if device == "cuda" else CPU_PROVIDER
        if provider not in onnxruntime.get_available_providers():
            raise RequestError(f"{weights}: this onnxruntime runs on the CPU only; onnxruntime-gpu runs on GPUs")
        asked = (provider, FIXED) if provider == CUDA_PROVIDER else provider
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=[asked])
        except Exception as error:  # whatever a file that is no model makes the reader raise
            raise RequestError(f"{weights}: is no ONNX model that runs here ({type(error).__name__})") from error
        if provider not in self.session.get_providers():
            raise FramemillError(f"{weights}: onnxruntime did not start on the GPU")
        self.weights = weights
        self.inputs = self.session.get_inputs()
        self.names = [one.name for one in self.inputs]
        self.shapes = [[side if isinstance(side, int) else None for side in one.shape] for one in self.inputs]

    def require(self, inputs: int, sides: int, wanted: str) -> None:
        """Refuses a file that does not take so many float arrays of so many sides; `wanted` says what it should take.

        Raises:
            RequestError: it does not.
        """
        fits = all(one.type == "tensor(float)" and len(one.shape) == sides for one in self.inputs)
        if len(self.inputs) != inputs or not fits:
            told = ", ".join(f"{one.name} {one.type} {one.shape}" for one in self.inputs)
            raise RequestError(f"{self.weights}: takes {told}; {wanted}")

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """All outputs, for float32 arrays in the order of the inputs.

        Raises:
            FramemillError: it does not take them.
        """
        try:
            return [np.asarray(one) for one in self.session.run(None, dict(zip(self.names, arrays, strict=True)))]
        except Exception as error:  # onnxruntime's own, which share no base but this
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise FramemillError(f"{self.weights}: does not take pictures {arrays[0].shape}: {reason}") from error
