"""What it ran on, and how fast that convolves at best."""

import os
import platform
import resource
import time
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from nst import devices, gpu
from nst.devices import Device
from nst.vgg import runtime

SHAPES = ((256, 128), (512, 64))  # channels in and out, side: the layers with most arithmetic


def describe() -> str:
    """Return processor, cores and versions in one line."""
    runtime = devices.onnxruntime()
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":")[1].strip() if names else cpu
    return (
        f"{cpu}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"NumPy {np.__version__}, ONNX Runtime {runtime.__version__}"
    )


def convolution_rate(device: str = "cpu", repeats: int = 5) -> float:
    """Return the best GFLOP/s of one 3x3 ``Conv`` in ONNX Runtime: the limit of direct ones."""
    return max(_rate(channels, side, device, repeats) for channels, side in SHAPES)


def _rate(channels: int, side: int, device: str, repeats: int) -> float:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((channels, channels, 3, 3), np.float32)
    shape = [1, channels, side, side]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "weight"], ["y"], pads=[1, 1, 1, 1])],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    picked = devices.pick(device)
    convolution = runtime._Pass(model, picked, "float32", {})  # opened as ours are
    x = picked.asarray(rng.standard_normal(shape[1:], np.float32))
    y, seconds = picked.xp.empty_like(x), []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        convolution.run({"x": x}, {"y": y})
        picked.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * weight.size * side * side / min(seconds) / 1e9


def observed(device: str) -> Device:
    """Return the device whose memory is looked at; nothing is opened on it."""
    if device == "cpu":
        return devices.CPU
    import cupy

    return Device("cuda", cupy, gpu.PROVIDER)


def page_faults() -> int:
    """Return how many pages this process was given or gave back without reading a disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
