"""Small films, made for the tests."""

from fractions import Fraction

import av
import numpy as np

from nst.pictures import images
from nst.stylize import complete

NTSC = Fraction(24000, 1001)


def moving(count, height=48, width=64, seed=7, speed=(1, 2)):
    """Frames (3, H, W) of a smooth picture that moves by whole pixels, to the upper left."""
    rng = np.random.default_rng(seed)
    tall, wide = height + speed[0] * count, width + speed[1] * count
    luma = images.resize(rng.random((1, tall // 6 + 1, wide // 6 + 1)), tall, wide)
    colour = images.resize(rng.random((3, tall // 24 + 2, wide // 24 + 2)), tall, wide)
    large = 0.6 * luma + 0.4 * colour  # a film keeps a quarter of the pixels of colour
    return [
        large[:, r : r + height, c : c + width].copy()
        for r, c in ((speed[0] * t, speed[1] * t) for t in range(count))
    ]


def patches(height=48, width=64):
    """A picture of saturated colours, in squares of 16 pixels."""
    small = np.random.default_rng(5).integers(0, 2, (3, height // 16, width // 16)) * 0.8 + 0.1
    return small.repeat(16, axis=1).repeat(16, axis=2).astype(np.float32)


def write_sound(container, stream, count):
    """Write ``count`` frames of noise."""
    rng = np.random.default_rng(3)
    for number in range(count):
        noise = (rng.standard_normal((2, 1024)) * 0.1).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 44100, number * 1024
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_film(
    path,
    frames,
    *,
    rate=NTSC,
    codec="libx264",
    pixels="yuv420p",
    pts=None,
    sound=0,
    rotation=0,
    colours=None,
    aspect=None,
):
    """Write frames (3, H, W) as a film; ``sound`` is how many packets of AAC go with them.

    ``colours`` are the code points of matrix, range, primaries and transfer.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        if codec == "libx264":
            stream.options = {"crf": "4"}
        stream.height, stream.width = frames[0].shape[1:]
        stream.pix_fmt = pixels
        context = stream.codec_context
        if colours is not None:
            context.colorspace, context.color_range = colours[:2]
            context.color_primaries, context.color_trc = colours[2:]
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        heard = None
        if sound:
            heard = container.add_stream("aac", rate=44100)
            heard.layout = "stereo"
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(images.as_uint8(picture), format="rgb24")
            if pixels.startswith("yuv"):
                matrix, levels = (colours or (None, None))[:2]
                frame = frame.reformat(
                    format=pixels, dst_colorspace=matrix, dst_color_range=levels
                )
            frame.pts = number if pts is None else pts[number]
            frame.time_base = 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound:
            write_sound(container, heard, sound)
    return path


def sound_packets(path):
    """Return (seconds, duration, bytes) of each packet of sound in a film."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(audio=0) if p.size]
        return [(p.pts * p.time_base, p.duration * p.time_base, bytes(p)) for p in packets]


def decoded(path):
    """Return the frames of a film as PyAV has them."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


class Stop(Exception):
    """Ends a run."""


def stopping_at(frame, step):
    """Return a painter that is stopped in the midst of a frame, counted from 1."""
    count = iter(range(1, 1000))

    def paint(inputs, plan, state, on_progress):
        number = next(count)

        def after(progress):
            on_progress(progress)
            if number == frame and progress.step == step:
                raise Stop

        return complete(inputs, plan, state, after)

    return paint
