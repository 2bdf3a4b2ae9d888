"""Files as Keras, torchvision and MXNet publish them, with made-up weights, and a server of them.

Run as a program it is `nst` with another table of sources and narrow networks:

    python published.py TABLE.json models fetch vgg16
"""

import contextlib
import dataclasses
import hashlib
import http.server
import json
import re
import ssl
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np
import onnx
import safetensors.numpy
from onnx import helper, numpy_helper
from small_networks import NARROW_VGG16, NARROW_VGG19

from nst.vgg import architecture
from nst.weights import download, sources
from nst.weights.sources import CAFFE, TORCHVISION, Preprocessing, Source

NARROW = {"vgg16": NARROW_VGG16, "vgg19": NARROW_VGG19}

# --- Files ------------------------------------------------------------------------------------


def keras_h5(path, kernels, style="notop"):
    """Write {(block, index): ((3, 3, I, O), (O,))} as Keras does.

    ``notop`` is the layout of the published files, ``weights`` of save_weights(), ``model`` of
    save(), with an optimizer's moments beside the weights.
    """
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if style == "model" else file
        layers = ["input_1"]
        for (block, index), (kernel, bias) in kernels.items():
            layer = f"block{block}_conv{index}"
            if style == "notop":
                names = [f"{layer}_W_1:0", f"{layer}_b_1:0"]
            else:
                names = [f"{layer}/kernel:0", f"{layer}/bias:0"]
            group = root.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in names]
            group[names[0]], group[names[1]] = kernel, bias
            layers.append(layer)
            if style == "model":
                file[f"optimizer_weights/Adam/{layer}/kernel/m:0"] = kernel
        for empty in ("input_1", "block1_pool"):
            root.create_group(empty).attrs["weight_names"] = np.zeros(0)
        root.attrs["layer_names"] = [layer.encode() for layer in layers]
    return path


def draw_keras(architecture, rng):
    """Return kernels for `keras_h5`, channel-last and for BGR, that keep the signal's size."""
    kernels, inputs = {}, 3
    for block, widths in enumerate(architecture.blocks, start=1):
        for index, outputs in enumerate(widths, start=1):
            spread = np.sqrt(2 / (9 * inputs)) * (0.02 if (block, index) == (1, 1) else 1)
            kernel = rng.standard_normal((3, 3, inputs, outputs), np.float32) * np.float32(spread)
            bias = np.float32(0.1) + np.float32(0.1) * rng.standard_normal(outputs, np.float32)
            kernels[block, index] = kernel, bias
            inputs = outputs
    return kernels


TORCHVISION_INDICES = {  # of the convolutions among torchvision's vgg16().features
    "conv1_1": 0, "conv1_2": 2,
    "conv2_1": 5, "conv2_2": 7,
    "conv3_1": 10, "conv3_2": 12, "conv3_3": 14,
    "conv4_1": 17, "conv4_2": 19, "conv4_3": 21,
    "conv5_1": 24, "conv5_2": 26, "conv5_3": 28,
}  # fmt: skip


def torchvision_tensors(arrays, classifier=500):
    """Return our arrays under torchvision's names, with a classifier's that nobody wants."""
    tensors = {
        f"features.{index}.{part}": np.float32(arrays[f"{convolution}.{part}"])
        for convolution, index in TORCHVISION_INDICES.items()
        for part in ("weight", "bias")
    }
    return tensors | {
        "head.fc.weight": np.full((10, classifier), 7, np.float32),
        "pre_logits.fc1.weight": np.full((classifier, classifier), 8, np.float32),
    }


def torchvision_safetensors(path, arrays, **rest):
    safetensors.numpy.save_file(torchvision_tensors(arrays, **rest), path, {"format": "pt"})
    return path


def mxnet_onnx(path, arrays, prefix="vgg0"):
    """Write our arrays as the model zoo's vgg16-12.onnx has them: thirteen Conv, and a Gemm."""
    initializers, nodes, x = [], [], "data"
    for index, convolution in enumerate(TORCHVISION_INDICES):
        names = [f"{prefix}_conv{index}_{part}" for part in ("weight", "bias")]
        if convolution.endswith("_1") and x != "data":
            sides = {"kernel_shape": [2, 2], "strides": [2, 2]}
            nodes.append(helper.make_node("MaxPool", [x], [f"p{index}"], **sides))
            x = f"p{index}"
        for name, part in zip(names, ("weight", "bias"), strict=True):
            array = np.float32(arrays[f"{convolution}.{part}"])
            initializers.append(numpy_helper.from_array(array, name))
        nodes.append(helper.make_node("Conv", [x, *names], [f"c{index}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{index}"], [f"r{index}"]))
        x = f"r{index}"
    dense = np.ones((2, 4), np.float32)
    initializers.append(numpy_helper.from_array(dense, f"{prefix}_dense0_weight"))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "mxnet_converted_model",
        [info("data", onnx.TensorProto.FLOAT, [1, 3, 32, 32])],
        [info(x, onnx.TensorProto.FLOAT, None)],
        initializers,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)]), path)
    return path


# --- A server ---------------------------------------------------------------------------------


@dataclasses.dataclass
class Fault:
    """What goes wrong at a path, from now on; 0, None and False for nothing."""

    status: int = 0
    redirect: str = ""
    cut_after: int | None = None  # bytes of each answer's body
    cuts: int = 1  # how many answers are cut
    stall_after: int | None = None  # bytes, then silence until `release`
    trickle: float = 0.0  # seconds between two kilobytes
    no_ranges: bool = False
    no_length: bool = False
    wrong_offset: int = 0  # bytes that a range begins too late
    headers: dict[str, str] = dataclasses.field(default_factory=dict)  # in place of the right ones
    reason: str | None = None  # behind the status 200 or 206
    endless: bool = False  # the body never ends
    endless_head: bool = False  # nor do the headers
    release: threading.Event = dataclasses.field(default_factory=threading.Event)


class Server:
    """Serves ``files`` on loopback, with byte ranges and entity tags, and writes down requests."""

    def __init__(self, certificate=None):
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, Fault] = defaultdict(Fault)
        self.requests: list[tuple[str, dict[str, str]]] = []  # path, headers
        self.sent = 0  # bytes of answers without an end
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
            self._http.handle_error = lambda *_: None  # a client that does not trust us
            scheme = "https"
        self.root = f"{scheme}://127.0.0.1:{self._http.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        for fault in self.faults.values():
            fault.release.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def ranges(self, path):
        """Return the Range header of every request for ``path``; "" for one without."""
        return [headers.get("Range", "") for asked, headers in self.requests if asked == path]

    def _handler(server):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        return Handler

    def answer(self, handler):
        path = re.sub(r"^http://[^/]*", "", handler.path)  # a proxy is asked for the whole URL
        self.requests.append((handler.path, dict(handler.headers)))
        fault = self.faults[path]
        if fault.endless_head:
            self._send_for_ever(handler, b"HTTP/1.1 100 Continue\r\n\r\n", fault, pause=0.01)
        elif fault.status:
            handler.send_error(fault.status, fault.reason)
        elif fault.redirect:
            handler.send_response(302)
            handler.send_header("Location", fault.redirect)
            handler.end_headers()
            if fault.endless:
                self._send_for_ever(handler, bytes(1 << 16), fault)
        elif path not in self.files:
            handler.send_error(404)
        else:
            self._send(handler, self.files[path], fault)

    def _send(self, handler, content, fault):
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
        same = handler.headers.get("If-Range", tag) == tag
        if asked and same and not fault.no_ranges:
            first = int(asked[1]) + fault.wrong_offset
            last = min(int(asked[2] or len(content)), len(content) - 1)
            status = 206
            said = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
            content = content[first : last + 1]
        else:
            status, said = 200, {}
        if not fault.no_length:
            said["Content-Length"] = str(len(content))
        handler.send_response(status, fault.reason)
        for name, value in (said | {"ETag": tag} | fault.headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        if fault.endless:
            self._send_for_ever(handler, bytes(1 << 16), fault)
        else:
            self._send_body(handler, content, fault)

    def _send_for_ever(self, handler, content, fault, pause=0.0):
        with contextlib.suppress(OSError):  # the client has gone
            while not fault.release.is_set():
                handler.wfile.write(content)
                self.sent += len(content)
                time.sleep(pause)

    def _send_body(self, handler, content, fault):
        try:
            if fault.cut_after is not None and fault.cuts:
                fault.cuts -= 1
                content = content[: fault.cut_after]
            elif fault.stall_after is not None and not fault.release.is_set():
                handler.wfile.write(content[: fault.stall_after])
                fault.release.wait()
                content = content[fault.stall_after :]
            step = 1024 if fault.trickle else max(1, len(content))
            for start in range(0, len(content), step):
                handler.wfile.write(content[start : start + step])
                time.sleep(fault.trickle)
        except OSError:
            pass  # the client has gone

    def source(
        self,
        path: str,
        content: bytes,
        preprocessing: Preprocessing | None = None,
        model: str = "vgg16",
        **rest,
    ) -> Source:
        """Publish ``content`` at ``path``; return its line of the table."""
        self.files[path] = content
        usual = CAFFE if path.endswith(".h5") else TORCHVISION
        fields = {
            "size": len(content),
            "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
            "published": "here",
            "licence": "made up",
        }
        url = self.root + path
        return Source(model, url, **(fields | rest), preprocessing=preprocessing or usual)


# --- nst with another table -------------------------------------------------------------------


def write_table(path: Path, table: list[Source]) -> Path:
    path.write_text(json.dumps([dataclasses.asdict(source) for source in table]))
    return path


def main() -> int:
    rows = json.loads(Path(sys.argv[1]).read_text())
    sources.SOURCES = tuple(
        Source(**{**row, "preprocessing": Preprocessing(**row["preprocessing"])}) for row in rows
    )
    assert not any(source.pin for source in sources.SOURCES)  # it would have to be made again
    architecture.ARCHITECTURES.update(NARROW)
    download.PIECE = 1024
    from nst import cli

    return cli.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
