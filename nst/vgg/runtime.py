"""VGG as two functions: image -> features, and d_features -> d_image, through ONNX Runtime."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nst import devices, memory
from nst.devices import Device
from nst.errors import NstError
from nst.kernels import Array
from nst.vgg import weights
from nst.vgg.architecture import SMALLEST_SIDE
from nst.vgg.weights import IMAGENET_MEAN, IMAGENET_STD, Network


class Vgg:
    """A network with a choice of taps, on one device.

    Parameters
    ----------
    model : str, path or Network
        A known name ("vgg16", "vgg19", "vgg16-slim"; "auto" for vgg16 where it is installed), or
        an ``.onnx`` file of `nst export`.
    taps : iterable of str
        Where to read features, such as ``relu4_2`` or, before the ReLU, ``conv4_2``.
    pooling : "max", "average" or None
        None keeps the model's own.  Gatys et al. (2015) found average to paint better.
    device : Device or str
        "cpu", "cuda" or "auto"; images and gradients must be arrays of this device.

    Raises NstError if the model is unknown or damaged, or lacks a tap.
    """

    def __init__(
        self,
        model: str | Path | Network,
        taps: Iterable[str],
        pooling: str | None = None,
        device: Device | str = "cpu",
    ) -> None:
        from nst.vgg import graphs  # onnx takes a while to import

        self.network = model if isinstance(model, Network) else weights.load(model)
        self.taps = tuple(dict.fromkeys(taps))
        self.pooling = pooling or self.network.pooling
        self.device = devices.pick(device) if isinstance(device, str) else device
        weights.check_pooling(self.pooling)
        net = self.network
        self._saved = graphs.saved_activations(net.architecture, self.taps, self.pooling)
        self._outputs = graphs.forward_outputs(net.architecture, self.taps, self.pooling)
        choice = (net.architecture, net.arrays, self.taps, self.pooling)
        self._forward = _session(graphs.forward(*choice, self._outputs), self.device)
        self._backward = _session(graphs.backward(*choice), self.device)
        self._features = _session(graphs.forward(*choice, list(self.taps)), self.device)
        self._activations: dict[str, Array] = {}  # of the last forward, for the backward
        self._image_shape: tuple[int, ...] = ()

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        taps: Iterable[str],
        pooling: str = "max",
        device: Device | str = "cpu",
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> "Vgg":
        """Return the network of ``{"conv1_1.weight": (O, I, 3, 3), "conv1_1.bias": (O,), ...}``.

        Any widths; the first convolution reads RGB normalised as (image - mean) / std.  Raises
        ValueError if the arrays do not fit each other.
        """
        return cls(weights.from_arrays(arrays, pooling, mean, std), taps, device=device)

    def features(self, image: Array) -> dict[str, Array]:
        """Return the features at each tap, (C, H, W), of an ``image`` (3, H, W) RGB in [0, 1].

        Any size from 16 x 16 up.  For measuring only: nothing is kept for a `backward`, and the
        layers between the taps are freed as soon as they are used.
        """
        image = self._image(image)
        features = {tap: self._empty(tap, image.shape) for tap in self.taps}
        self._run(self._features, {"image": image}, features)
        return features

    def forward(self, image: Array) -> dict[str, Array]:
        """Return what `features` returns, and keep what `backward` needs.

        Each call returns new arrays; `backward` reads them, so do not write into them before it.
        """
        image = self._image(image)
        kept = self._activations if image.shape == self._image_shape else {}
        self._activations = {
            name: self._empty(name, image.shape)
            if name in self.taps or name not in kept
            else kept[name]
            for name in self._outputs
        }
        self._image_shape = image.shape
        self._run(self._forward, {"image": image}, self._activations)
        return {tap: self._activations[tap] for tap in self.taps}

    def backward(self, d_features: Mapping[str, Array]) -> Array:
        """Return dL/dimage (3, H, W), given dL/dfeatures at the taps, for the last `forward`.

        A tap that is not given counts as zero.
        """
        if not self._activations:
            raise ValueError("backward needs a forward first: it is the gradient at its image")
        if unknown := set(d_features) - set(self.taps):
            raise ValueError(f"no such taps: {sorted(unknown)}; this network has {self.taps}")
        inputs = {name: self._activations[name] for name in self._saved}
        for tap in self.taps:
            features = self._activations[tap]
            if tap not in d_features:
                inputs[f"d_{tap}"] = self.device.xp.zeros_like(features)
                continue
            inputs[f"d_{tap}"] = d_tap = self._placed(d_features[tap], f"d_{tap}")
            if d_tap.shape != features.shape:
                raise ValueError(
                    f"d_{tap} must have the shape of {tap}, {features.shape}, found {d_tap.shape}"
                )
        d_image = self.device.xp.empty(self._image_shape, np.float32)
        self._run(self._backward, inputs, {"d_image": d_image})
        return d_image

    def release(self) -> None:
        """Give memory back: what the last `forward` kept, and what the runtime keeps for the next.

        Worth its while before an image of another size, and before other work that needs room.
        """
        self._activations, self._image_shape = {}, ()
        if self.device.name == "cpu":
            options = devices.onnxruntime().RunOptions()
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
            blank = np.zeros((1, 3, SMALLEST_SIDE, SMALLEST_SIDE), np.float32)
            self._features.run(None, {"image": blank}, options)
            memory.trim()

    def _run(self, session: Any, inputs: dict[str, Array], outputs: dict[str, Array]) -> None:
        """Run a graph from arrays into arrays of this device, without a copy."""
        binding = session.io_binding()
        for bind, arrays in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
            for name, array in arrays.items():
                pointer = self.device.pointer(array)
                bind(name, self.device.name, 0, np.float32, (1, *array.shape), pointer)
        self.device.synchronize()  # ONNX Runtime does not wait for CuPy's kernels
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    def _image(self, image: Array) -> Array:
        image = self._placed(image, "image")
        if image.ndim != 3 or image.shape[0] != 3 or min(image.shape[1:]) < SMALLEST_SIDE:
            raise ValueError(
                f"image must be (3, H, W) with sides of at least {SMALLEST_SIDE}, "
                f"found {image.shape}"
            )
        return image

    def _placed(self, array: Array, name: str) -> Array:
        if not isinstance(array, self.device.xp.ndarray):
            raise TypeError(
                f"{name} must be a {self.device.xp.__name__} array, found {type(array).__name__}; "
                "place it with Device.asarray()"
            )
        return self.device.xp.ascontiguousarray(array, np.float32)

    def _empty(self, layer: str, image_shape: tuple[int, ...]) -> Array:
        shape = self.network.architecture.shape(layer, *image_shape[1:])
        return self.device.xp.empty(shape, np.float32)


def _session(model: Any, device: Device) -> Any:
    """Open a graph in ONNX Runtime on ``device``, and on no other: no silent fallback."""
    _share_one_arena()
    runtime = devices.onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.enable_mem_pattern = False  # it would keep a second arena's worth for every size seen
    # Threads that spin between runs would take the cores from NumPy's Gram products.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=[device.provider]
    )
    if device.provider not in session.get_providers():
        raise NstError(
            f"ONNX Runtime could not start {device.provider}, it has {session.get_providers()}; "
            "`nst doctor` shows what is there, or use --device cpu."
        )
    return session


@cache
def _share_one_arena() -> None:
    """Let the sessions take their memory on the CPU from one place, once a process.

    They run one after another.  Each would keep for itself the most that it ever needed: over
    three sessions that is twice the memory, and no faster.
    """
    runtime = devices.onnxruntime()
    cpu = runtime.OrtMemoryInfo(
        "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
    )
    runtime.create_and_register_allocator(cpu, runtime.OrtArenaCfg(0, 0, -1, -1))
