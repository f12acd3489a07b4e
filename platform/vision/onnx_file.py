"""Running networks from ONNX files with onnxruntime."""

from __future__ import annotations

import numpy as np

from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.weights import read_weights

_CUDA_PROVIDER, _CPU_PROVIDER = "CUDAExecutionProvider", "CPUExecutionProvider"
_DETERMINISTIC = {"cudnn_conv_algo_search": "DEFAULT", "use_tf32": "0"}
"""CUDA options for reproducible results; by default cuDNN chooses the fastest algorithm in each process."""


class OnnxNetwork:
    """A network from an ONNX file.

    `names` and `shapes` are the names and shapes of the inputs; a dimension of variable size is None.

    Args:
        weights: path or URI of the file.
        sha256: sha256 of the file; empty: not checked.
        device: "cpu" or "cuda".
        threads: number of threads on the CPU.

    Raises:
        RequestError: there is no such file, its sha256 differs, or it is not a network that runs on this machine.
        FramemillError: onnxruntime did not start on the GPU.
    """

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu", threads: int = 1) -> None:
        import onnxruntime

        content = read_weights(weights, sha256)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.use_deterministic_compute = True
        options.log_severity_level = 3  # errors only, since warnings concern the authors of graphs
        provider = _CUDA_PROVIDER if device == "cuda" else _CPU_PROVIDER
        if provider not in onnxruntime.get_available_providers():
            message = f"{weights}: this onnxruntime runs on the CPU only; onnxruntime-gpu runs on GPUs"
            raise RequestError(message, file=weights)
        options_by_provider = (provider, _DETERMINISTIC) if provider == _CUDA_PROVIDER else provider
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=[options_by_provider])
        except Exception as error:  # onnxruntime raises many exception classes for invalid files
            message = f"{weights}: is no ONNX model that runs here ({type(error).__name__})"
            raise RequestError(message, file=weights) from error
        if provider not in self.session.get_providers():
            raise FramemillError(f"{weights}: onnxruntime did not start on the GPU", file=weights)
        self.weights = weights
        self.inputs = self.session.get_inputs()
        self.names = [entry.name for entry in self.inputs]
        self.shapes = [[side if isinstance(side, int) else None for side in entry.shape] for entry in self.inputs]

    def require(self, inputs: int, sides: int, wanted: str) -> None:
        """Checks the number of inputs of the network, and that they are float tensors with `sides` dimensions.

        Args:
            inputs: number of inputs.
            sides: number of dimensions of each input.
            wanted: description of the expected inputs for the error message.

        Raises:
            RequestError: the inputs differ.
        """
        fits = all(entry.type == "tensor(float)" and len(entry.shape) == sides for entry in self.inputs)
        if len(self.inputs) != inputs or not fits:
            actual = ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in self.inputs)
            raise RequestError(f"{self.weights}: takes {actual}; {wanted}", file=self.weights)

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Returns all outputs of the network for float32 arrays in the order of the inputs.

        Raises:
            FramemillError: the network does not accept the arrays.
        """
        try:
            return [np.asarray(output) for output in self.session.run(None, dict(zip(self.names, arrays, strict=True)))]
        except Exception as error:  # onnxruntime's exceptions have no common base class
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            message = f"{self.weights}: does not take pictures {arrays[0].shape}: {reason}"
            raise FramemillError(message, file=self.weights) from error
