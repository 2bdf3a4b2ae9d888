"""What is installed, and what is wrong with it: the lines that ``nst doctor`` prints."""

import platform
from contextlib import suppress
from importlib import metadata

from nst import devices, gpu
from nst.errors import NstError
from nst.version import VERSION
from nst.vgg import weights
from nst.vgg.architecture import ARCHITECTURES

PACKAGES = (
    "msgspec", "numpy", "onnx", "scipy", "pillow", "matplotlib", "platformdirs", "psutil",
    "threadpoolctl", "tqdm", "requests", "urllib3", "filelock", "h5py", "safetensors",
)  # fmt: skip
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


def examine() -> tuple[list[str], list[str]]:
    """Return ``(facts, problems)``: lines to read, and what keeps a run from working."""
    facts = [f"nst {VERSION}, Python {platform.python_version()}, {platform.platform()}"]
    facts.append(", ".join(f"{name} {_version(name) or 'missing'}" for name in PACKAGES))
    problems = [f"{name} is not installed" for name in PACKAGES if not _version(name)]
    for part in (_runtime, _gpu, _models):
        more_facts, more_problems = part()
        facts += more_facts
        problems += [problem for problem in more_problems if problem not in problems]
    return facts, problems


def _runtime() -> tuple[list[str], list[str]]:
    installed = [f"{name} {_version(name)}" for name in RUNTIMES if _version(name)]
    try:
        providers = devices.onnxruntime().get_available_providers()
    except NstError as error:
        return ["ONNX Runtime: none"], [str(error)]
    facts = [f"ONNX Runtime: {', '.join(installed)}; providers {', '.join(providers)}"]
    if len(installed) > 1:
        return facts, [
            f"{' and '.join(RUNTIMES)} are both installed and overwrite each other; "
            "make a fresh environment with one of them."
        ]
    return facts, []


def _gpu() -> tuple[list[str], list[str]]:
    try:
        cupy = gpu.load_cupy()
    except Exception as error:  # whatever a broken installation ends in
        return ["CuPy: does not start"], [gpu.explained(error)]
    if cupy is None:
        return ["CuPy: not installed (only needed for --device cuda)"], []
    facts, problems = [f"CuPy {cupy.__version__}"], []
    try:
        devices.cuda()
        trial = "GPU: a convolution was computed on it"
    except gpu.NoGpuError:
        return [*facts, "GPU: CuPy found none; --device auto takes the CPU"], []
    except NstError as error:
        trial, problems = "GPU: does not work; --device auto takes the CPU", [str(error)]
    with suppress(Exception):  # a GPU that does not work may not name itself
        facts += gpu.facts(cupy)
    return [*facts, trial], problems


def _models() -> tuple[list[str], list[str]]:
    facts, problems = [], []
    for name in ARCHITECTURES:
        try:
            path = weights.find(name)
            network = weights.load(path)
        except NstError as error:
            facts.append(f"model {name}: {str(error).removeprefix(f'model {name} is ')}")
            problems += [str(error)] if name == weights.EMBEDDED else []
            continue
        layers = len(network.architecture.convolutions)
        pooling = f"{network.pooling} pooling unless the recipe says otherwise"
        facts.append(f"model {name}: {path}, {layers} convolutions, {pooling}")
    return facts, problems


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
