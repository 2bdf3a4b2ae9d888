"""What CuPy and ONNX Runtime say on machines that are not this one."""

from types import SimpleNamespace

GPU_BUILD = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
CPU_BUILD = ("AzureExecutionProvider", "CPUExecutionProvider")
PROPERTIES = {"name": b"NVIDIA H200", "totalGlobalMem": 150e9, "major": 9, "minor": 0}


class CUDARuntimeError(RuntimeError):
    """As CuPy's."""


class FakeStream:
    """What CuPy's streams have of use here; ``in_use`` is the thread's current one."""

    def __init__(self, ptr=7, non_blocking=False):
        self.ptr, self.non_blocking = ptr, non_blocking

    def use(self):
        FakeStream.in_use = self


def fake_cupy(gpus=1, driver=13010):
    """CuPy on a machine with so many GPUs, or on which asking for them ends in that error."""

    def count():
        if isinstance(gpus, str):
            raise CUDARuntimeError(gpus)
        return gpus

    def properties(device):
        if count() <= device:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        return PROPERTIES

    FakeStream.in_use = FakeStream(ptr=0)  # as CuPy starts: the null stream
    runtime = SimpleNamespace(
        getDeviceCount=count,
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: 13020,
        getDeviceProperties=properties,
        memGetInfo=lambda: (149_000_000_000, 150_000_000_000),
    )
    cuda = SimpleNamespace(
        runtime=runtime,
        get_current_stream=lambda: FakeStream.in_use,
        Stream=FakeStream,
    )
    return SimpleNamespace(__version__="14.9", cuda=cuda)


def fake_runtime(*providers):
    """ONNX Runtime as it was built."""
    return SimpleNamespace(
        get_available_providers=lambda: list(providers),
        set_default_logger_severity=lambda severity: None,
        preload_dlls=lambda: print("Failed to load libcublasLt.so.13"),
    )
