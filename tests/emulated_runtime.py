"""ONNX Runtime as built for CUDA, over that for the CPU: what binds arrays of emulated_cupy.py.

Strict about what it is told: providers' options by name, whose stream, and that every array that
is bound is still there when the graph runs.
"""

from types import SimpleNamespace

import emulated_cupy
import numpy as np

from nst import devices

real = devices.onnxruntime()  # which sends nothing to anybody
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
OPTIONS = {  # of the CUDA provider, as the library of 1.31 has them
    "arena_extend_strategy", "cudnn_conv_algo_search", "cudnn_conv_use_max_workspace", "device_id",
    "fuse_conv_bias", "gpu_mem_limit", "has_user_compute_stream", "prefer_nhwc",
    "use_ep_level_unified_stream", "use_tf32", "user_compute_stream",
}  # fmt: skip

told: list = []  # what the runtime was asked to do, in order: ("preload",), ("shrink", "gpu:0")


class RunOptions:
    def __init__(self):
        self.entries = {}

    def add_run_config_entry(self, name, value):
        self.entries[name] = value


class InferenceSession:
    def __init__(self, model, options=None, providers=(CPU,), enable_fallback=1):
        assert not enable_fallback, "on no other device"
        first = providers[0]
        self._provider, told_options = (first, {}) if isinstance(first, str) else first
        assert self._provider in (CUDA, CPU)
        if self._provider == CUDA:
            assert ("preload",) in told, "CUDA's libraries are on no path"
            unknown = set(told_options) - OPTIONS
            assert not unknown, f"Invalid CUDA EP option: {unknown}"
            stream, here = told_options.get("user_compute_stream", "0"), emulated_cupy.cuda
            assert stream in ("0", str(here.get_current_stream().ptr)), "another stream"
            if options is not None:  # of a network, and not of a trial
                told.append(("session", options))
        self._session = real.InferenceSession(model, options, providers=[CPU])

    def get_providers(self):
        return [self._provider, CPU]

    def get_inputs(self):
        return self._session.get_inputs()

    def run(self, names, inputs):
        return self._session.run(names, inputs)

    def io_binding(self):
        device = "cuda" if self._provider == CUDA else "cpu"
        return IOBinding(self._session.io_binding(), device)

    def run_with_iobinding(self, binding, options=None):
        entries = options.entries if options else {}
        converted = real.RunOptions()
        if self._provider == CUDA:
            binding.check()
            if entries.get("disable_synchronize_execution_providers") != "1":
                emulated_cupy.count(emulated_cupy.waits, "a run that waits")
        for name, value in entries.items():
            if name == "memory.enable_memory_arena_shrinkage":
                told.append(("shrink", value))
                continue
            converted.add_run_config_entry(name, value)
        self._session.run_with_iobinding(binding.real, converted)


class IOBinding:
    def __init__(self, binding, device):
        self.real, self._device, self._bound = binding, device, {}

    def bind_input(self, name, device, index, dtype, shape, pointer):
        self._bind(self.real.bind_input, name, device, index, dtype, shape, pointer)

    def bind_output(self, name, device, index, dtype, shape, pointer):
        self._bind(self.real.bind_output, name, device, index, dtype, shape, pointer)

    def _bind(self, bind, name, device, index, dtype, shape, pointer):
        assert device == self._device, f"{name} is on {device}"
        self._bound[name] = pointer, int(np.prod(shape)) * np.dtype(dtype).itemsize
        bind(name, "cpu", index, dtype, shape, pointer)

    def check(self):
        for name, place in self._bound.items():
            assert emulated_cupy.pool.holds(*place), f"{name}: its array is gone, or shorter"


def start():
    """Return the module, with nothing told yet."""
    told.clear()
    return SimpleNamespace(
        **{name: getattr(real, name) for name in dir(real) if not name.startswith("__")}
        | {
            "__file__": real.__file__,
            "__version__": real.__version__,
            "InferenceSession": InferenceSession,
            "RunOptions": RunOptions,
            "get_available_providers": lambda: [CUDA, CPU],
            "preload_dlls": lambda: told.append(("preload",)),
            "set_default_logger_severity": lambda severity: None,
            "create_and_register_allocator": lambda *args: None,  # the machine's own is registered
            "create_and_register_allocator_v2": lambda *args: told.append(("allocator", *args)),
        }
    )
