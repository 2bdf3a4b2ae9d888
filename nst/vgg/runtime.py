"""VGG as two functions: image -> features, and d_features -> d_image, through ONNX Runtime.

Whose memory is whose.  What is bound, images, features, gradients, is NumPy's or CuPy's; what lies
between is from ONNX Runtime's arena, one for all graphs, since they run one after another.  Both
grow by what is asked for and no more, and keep it for the next run; `Vgg.release` gives both back,
before an image of another size.  On a GPU neither can free what the other keeps: so where ONNX
Runtime finds no room, CuPy's pool is emptied and the run is tried again.  No limit is set: what
fits is for run/budget.py to say, and a limit would only fail sooner.  To give ONNX Runtime CuPy's
own allocator would be one pool for both; it refuses that together with a shared stream.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nst import devices, gpu, machine, memory
from nst.devices import Device
from nst.errors import NstError, brief, warn
from nst.kernels import Array
from nst.vgg import hypercolumn, weights
from nst.vgg.architecture import (
    COLUMNS,
    CONVOLUTIONS,
    HYPERCOLUMN_POINTS,
    PRECISIONS,
    SMALLEST_SIDE,
)
from nst.vgg.weights import IMAGENET_MEAN, IMAGENET_STD, Network

if TYPE_CHECKING:
    from nst.vgg.plan import Size

MOST_PASSES = 24  # graphs kept open: up to three for each size of image or of tile
STRIPS_KEPT = 3  # of a layer, as was measured: memory grew up to images of as many


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
    convolution : "auto" or "direct"
        Whether convolutions go by Winograd's algorithm where that is faster: on the CPU, with
        many channels; see vgg/winograd.py.  The same to a relative 1e-4, but for pixels where that
        decides which of two wins a maximum.
    precision : "float32" or "tf32"
        Of the convolutions on a GPU.  TF32 is faster there, and has 10 bits of mantissa for 23.

    Raises
    ------
    NstError
        If the model is unknown or damaged, or lacks a tap.
    """

    def __init__(
        self,
        model: str | Path | Network,
        taps: Iterable[str],
        pooling: str | None = None,
        device: Device | str = "cpu",
        convolution: str = "auto",
        precision: str = "float32",
    ) -> None:
        from nst.vgg import graphs  # onnx takes a while to import
        from nst.vgg.plan import Plan

        self.network = model if isinstance(model, Network) else weights.load(model)
        self.taps = tuple(dict.fromkeys(taps))
        self.pooling = pooling or self.network.pooling
        self.device = devices.pick(device) if isinstance(device, str) else device
        weights.check_pooling(self.pooling)
        if convolution not in CONVOLUTIONS:
            raise NstError(f"--conv is {convolution!r}; choose {' or '.join(CONVOLUTIONS)}.")
        if precision not in PRECISIONS:
            raise NstError(f"--precision is {precision!r}; choose {' or '.join(PRECISIONS)}.")
        self._precision = precision
        self._on_cpu = self.device.provider == devices.CPU.provider
        if not self._on_cpu:
            convolution = "direct"  # cuDNN has its own choice of algorithms
        architecture = self.network.architecture
        architecture.check_taps(self.taps)
        self._layers = tuple(dict.fromkeys(p for t in self.taps for p in architecture.parts(t)))
        self._plan = Plan(architecture, self._layers, self.pooling, None, convolution)
        self._points = {
            name: self.device.asarray(kernel)
            for name, kernel in graphs.points(self._plan, self.network.arrays).items()
        }
        self._passes: dict[tuple[str, Size | None], _Pass] = {}  # the last used is last
        self._arena = "cpu:0" if self._on_cpu else "gpu:0"
        self._shrinking: _Pass | None = None  # what `release` runs on a GPU
        self._activations: dict[str, Array] = {}  # of the last forward, for the backward
        self._image_shape: tuple[int, ...] = ()
        if not self._on_cpu:
            self._pass("features", ())  # so that a GPU that cannot work is an error now

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        taps: Iterable[str],
        pooling: str = "max",
        device: Device | str = "cpu",
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        convolution: str = "auto",
        precision: str = "float32",
    ) -> "Vgg":
        """Return the network of ``{"conv1_1.weight": (O, I, 3, 3), "conv1_1.bias": (O,), ...}``.

        Parameters
        ----------
        arrays : mapping of str to float array
            Any widths; the first convolution reads RGB.
        mean, std : tuples of three floats
            It is normalised as (image - mean) / std, the image in [0, 1].
        taps, pooling, device, convolution, precision
            As for `Vgg`.

        Raises
        ------
        ValueError
            If the arrays do not fit each other.
        """
        network = weights.from_arrays(arrays, pooling, mean, std)
        return cls(network, taps, None, device, convolution, precision)

    def features(self, image: Array) -> dict[str, Array]:
        """Return the features at each tap, (C, H, W), of an ``image`` (3, H, W) RGB in [0, 1].

        Any size from 16 x 16 up.  For measuring only: the arrays are new, nothing is kept for a
        `backward`, and the layers between the taps are freed as soon as they are used.
        """
        image = self._image(image)
        features = {layer: self._empty(layer, image.shape) for layer in self._layers}
        self._pass("features", image.shape).run({"image": image}, features)
        return self._at_taps(features, image.shape)

    def forward(self, image: Array) -> dict[str, Array]:
        """Return what `features` returns, and keep what `backward` needs.

        The arrays are this network's own, until the next `forward` overwrites them.  `backward`
        reads none of them: gradients may be written where the features were, and save memory.
        """
        image = self._image(image)
        if image.shape != self._image_shape:
            self._activations = {}  # before the new ones are made: never both in memory
            self._activations = {n: self._empty(n, image.shape) for n in self._plan.outputs}
            self._image_shape = image.shape
        bound = {name: self._activations[name] for name in self._plan.outputs}
        self._pass("forward", image.shape).run({"image": image}, bound)
        self._activations |= self._at_taps(self._activations, image.shape)
        return {tap: self._activations[tap] for tap in self.taps}

    def backward(self, d_features: Mapping[str, Array]) -> Array:
        """Return dL/dimage (3, H, W), given dL/dfeatures at the taps, for the last `forward`.

        Parameters
        ----------
        d_features : mapping of tap to (C, H, W) float array
            A tap that is not given counts as zero.

        Raises
        ------
        ValueError
            Before any `forward`; for a tap that is none, and an array of another shape.
        """
        if not self._activations:
            raise ValueError("backward needs a forward first: it is the gradient at its image")
        if unknown := set(d_features) - set(self.taps):
            raise ValueError(f"no such taps: {sorted(unknown)}; this network has {self.taps}")
        inputs = {name: self._activations[name] for name in self._plan.saved}
        d_taps = {tap: self._pull(tap, given) for tap, given in d_features.items()}
        for column in COLUMNS:
            if (d_column := d_taps.pop(column, None)) is None:
                continue
            parts = self.network.architecture.parts(column)
            layers = {part: self._activations[part] for part in parts}
            points = column == HYPERCOLUMN_POINTS
            d_taps |= hypercolumn.backward(d_column, layers, d_taps, points)
        for layer in self._layers:
            given = d_taps.get(layer)
            no_pull = given is None
            inputs[f"d_{layer}"] = (
                self.device.xp.zeros_like(self._activations[layer]) if no_pull else given
            )
        d_image = self.device.xp.empty(self._image_shape, np.float32)
        self._pass("backward", self._image_shape).run(inputs, {"d_image": d_image})
        return d_image

    def _at_taps(
        self, layers: Mapping[str, Array], image_shape: tuple[int, ...]
    ) -> dict[str, Array]:
        """Return the features at the taps, of those of the layers; a hypercolumn is made of them.

        It goes into the array of the last one, where that is among the ``layers``.
        """
        found = {tap: layers[tap] for tap in self.taps if tap in self._layers}
        for column in COLUMNS:
            if column not in self.taps:
                continue
            parts = {p: layers[p] for p in self.network.architecture.parts(column)}
            out = layers.get(column)
            out = self._empty(column, image_shape) if out is None else out
            points = column == HYPERCOLUMN_POINTS
            found[column] = hypercolumn.forward(parts, out, points)
        return {tap: found[tap] for tap in self.taps}

    def _pull(self, tap: str, given: Array) -> Array:
        """Return dL/d(features at ``tap``) as the graph takes it."""
        d_tap, features = self._placed(given, f"d_{tap}"), self._activations[tap]
        if d_tap.shape != features.shape:
            raise ValueError(
                f"d_{tap} must have the shape of {tap}, {features.shape}, found {d_tap.shape}"
            )
        return d_tap

    def bound_bytes(self, height: int, width: int, kept: bool = True) -> int | None:
        """Return the bytes of the arrays that are bound for `forward`, or for `features`.

        That is all that is returned, and with ``kept`` what `backward` reads.  None on a GPU:
        there what lies between grows with the image as well.
        """
        return self._bound_bytes(height, width, kept)[0] if self._on_cpu else None

    def full_pixels(self, height: int, width: int) -> float:
        """Return from how many pixels on an image takes no more memory for what lies between.

        Layers are gone through in strips of at most one size.  What strips have asked for is kept,
        and does not fit the next, of a row more: a few of them are there at once.  An image of
        ``height`` x ``width`` tells how large layers are for each pixel.
        """
        from nst.vgg.strips import VALUES

        _, largest = self._bound_bytes(height, width, kept=False)
        return STRIPS_KEPT * 4 * VALUES * height * width / largest

    def least_bytes(self, height: int, width: int, kept: bool = True) -> int:
        """Return the bytes that `forward` takes at the least, or `features`.

        That is what is bound for it, and what goes into the largest layer and comes out of it.
        """
        arrays, largest = self._bound_bytes(height, width, kept)
        return arrays + 2 * largest

    def _bound_bytes(self, height: int, width: int, kept: bool) -> tuple[int, int]:
        """Return the bytes of the arrays that are bound for an image, and of the largest layer."""
        from nst.vgg.plan import layer_of

        plan = replace(self._plan, size=(height, width))
        names = plan.outputs if kept else plan.taps
        derived = [tap for tap in self.taps if tap not in self._layers]
        shape = self.network.architecture.shape
        column = sum(4 * math.prod(shape(tap, height, width)) for tap in derived)
        arrays = sum(plan.values(layer_of(n)) * np.dtype(plan.dtype(n)).itemsize for n in names)
        return column + arrays, 4 * max(map(plan.values, plan.layers))

    def release(self) -> None:
        """Give memory back: what the last `forward` kept, and what the runtime keeps for the next.

        Worth its while before an image of another size, and before other work that needs room.
        """
        self._activations, self._image_shape = {}, ()
        options = devices.onnxruntime().RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", self._arena)
        if self._on_cpu:
            blank = np.zeros((3, SMALLEST_SIDE, SMALLEST_SIDE), np.float32)
            features = {layer: self._empty(layer, blank.shape) for layer in self._layers}
            self._pass("features", blank.shape).run({"image": blank}, features, options)
        else:  # by a graph that does nothing: cuDNN plans each convolution anew for each size
            self._shrinking = self._shrinking or self._opened(_nothing())
            x = self.device.xp.zeros(1, np.float32)
            self._shrinking.run({"x": x}, {"y": x.copy()}, options)
        memory.trim(self.device)

    def close(self) -> None:
        """Let go of everything but the weights; what is asked next is opened anew."""
        self.release()
        self._passes.clear()
        self._shrinking = None

    def _pass(self, kind: str, image_shape: tuple[int, ...]) -> "_Pass":
        """Return the graph of a ``kind`` for images of one shape; the last few are kept.

        On a GPU one graph is for all sizes: each would take the weights there once more.
        """
        key = kind, _size(image_shape) if self._on_cpu else None
        if key not in self._passes:
            while len(self._passes) >= MOST_PASSES:
                del self._passes[next(iter(self._passes))]
            self._passes[key] = self._open(*key)
        self._passes[key] = self._passes.pop(key)  # to the end: used last
        return self._passes[key]

    def _open(self, kind: str, size: "Size | None") -> "_Pass":
        from nst.vgg import graphs

        plan, arrays = replace(self._plan, size=size), self.network.arrays
        if kind == "features":
            model = graphs.forward(plan, arrays, list(self._layers))
        elif kind == "forward":
            model = graphs.forward(plan, arrays, plan.outputs)
        else:
            model = graphs.backward(plan, arrays)
        return self._opened(model)

    def _opened(self, model: Any) -> "_Pass":
        return _Pass(model, self.device, self._precision, self._points)

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

    def _empty(self, name: str, image_shape: tuple[int, ...]) -> Array:
        plan = replace(self._plan, size=_size(image_shape))
        return self.device.xp.empty(plan.shape(name), plan.dtype(name))


class _Pass:
    """One graph for images of one size, bound to the arrays that it reads and writes."""

    def __init__(
        self, model: Any, device: Device, precision: str, constants: Mapping[str, Array]
    ) -> None:
        self.device, self.stream = device, device.stream()
        self.session = _session(model, device, precision)
        self.options = None if self.stream == 0 else _without_waiting()
        self.binding = self.session.io_binding()
        self.bound: dict[str, tuple] = {}  # where each name's array is, its shape and dtype
        wanted = {value.name for value in self.session.get_inputs()}
        self._bind({name: array for name, array in constants.items() if name in wanted}, ())

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array], options: Any = None
    ) -> None:
        """Compute ``outputs`` from ``inputs``, (C, H, W) arrays of the device, without a copy.

        On a GPU that is only launched, behind what this thread's CuPy has launched before, and
        before what it launches next: the two share a stream.  Nothing waits.
        """
        if self.device.stream() != self.stream:
            raise ValueError("this network was opened on another CUDA stream or in another thread")
        self._bind(inputs, (1,))
        self._bind(outputs, (1,), self.binding.bind_output)
        options = options or self.options
        try:
            self.session.run_with_iobinding(self.binding, options)
        except Exception as error:
            if self.device.name == "cpu" or "allocate memory" not in str(error):
                raise
            memory.trim(self.device)
            self.session.run_with_iobinding(self.binding, options)

    def _bind(self, arrays: Mapping[str, Array], batch: tuple[int, ...], bind: Any = None) -> None:
        """Tell the session where the arrays are, as far as that has changed.

        Memory that one array gave back is the next one's, of another shape: CuPy's pool does so.
        """
        bind = bind or self.binding.bind_input
        for name, array in arrays.items():
            place = array.dtype.type, batch + array.shape, self.device.pointer(array)
            if self.bound.get(name) != place:
                bind(name, self.device.name, 0, *place)
                self.bound[name] = place


def _size(image_shape: tuple[int, ...]) -> "Size":
    _, height, width = image_shape
    return height, width


def _without_waiting() -> Any:
    """Return what lets a run on a GPU return as soon as its kernels are launched."""
    options = devices.onnxruntime().RunOptions()
    options.add_run_config_entry("disable_synchronize_execution_providers", "1")
    return options


def _provider(device: Device, precision: str) -> tuple[str, dict[str, str]]:
    """Return the provider of ``device`` and its options."""
    if device.provider == devices.CPU.provider:
        return device.provider, {}
    stream = device.stream()
    return device.provider, {
        "user_compute_stream": str(stream),
        "has_user_compute_stream": str(int(stream != 0)),
        "use_tf32": str(int(precision == "tf32")),
        # Since ONNX Runtime 1.20 nothing is measured: cuDNN's heuristics choose, in the mode that
        # looks longer.  A plan is kept for the last size alone, and a new one takes a while.
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "arena_extend_strategy": "kSameAsRequested",  # where the arena is not shared
    }


def _session(model: Any, device: Device, precision: str) -> Any:
    """Open a graph in ONNX Runtime on ``device``, and on no other: no silent fallback."""
    _share_one_arena("cpu")
    _share_one_arena(device.name)
    runtime = devices.onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.intra_op_num_threads = machine.cpus()  # its own count is of all that there are
    options.enable_mem_pattern = False  # it would keep a second arena's worth for every size seen
    if device.provider == devices.CPU.provider:
        options.enable_mem_reuse = False  # it would keep memory from one strip to the next
    else:  # weights lie outside of the arena, so that all of it can be given back
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    # Threads that spin between runs would take the cores from NumPy's Gram products.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = runtime.InferenceSession(
            model.SerializeToString(),
            options,
            providers=[_provider(device, precision)],
            enable_fallback=0,  # it would print, where a picture may be written
        )
    except Exception as error:  # ONNX Runtime's own classes have no common one
        if memory.ran_out(error):
            raise
        raise NstError(
            f"ONNX Runtime cannot open the network on {device.name}: {brief(error)}; see `nst "
            "doctor`."
        ) from error
    if device.provider not in session.get_providers():
        raise NstError(
            f"ONNX Runtime could not start {device.provider}, it has {session.get_providers()}; "
            "`nst doctor` shows what is there, or use --device cpu."
        )
    return session


@cache
def _share_one_arena(device: str) -> None:
    """Let the sessions take their memory on a "cpu" or "cuda" from one place, once a process.

    They run one after another.  Each would keep for itself the most that it ever needed: over
    three sessions that is twice the memory, and no faster.
    """
    runtime = devices.onnxruntime()
    arena, default = runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, runtime.OrtMemType.DEFAULT
    as_requested = 1  # it grows by what is asked for; else it would double
    config = runtime.OrtArenaCfg(0, as_requested, -1, -1)
    if device == "cpu":
        place = runtime.OrtMemoryInfo("Cpu", arena, 0, default)
        runtime.create_and_register_allocator(place, config)
        return
    try:
        place = runtime.OrtMemoryInfo("Cuda", arena, 0, default)
        runtime.create_and_register_allocator_v2(gpu.PROVIDER, place, {}, config)
    except Exception as error:  # more memory is taken, but all works
        reason = gpu.explained(error)
        warn(f"memory of the GPU is not shared: {reason}")


def _nothing() -> Any:
    """Return a graph of one number, to run for what a run does besides."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "nothing", [x], [y])
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9)
