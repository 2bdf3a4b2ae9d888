"""The table of sources: its figures against the networks', and its arithmetic against pixels."""

import math
import re

import pytest

from nst.vgg.architecture import ARCHITECTURES
from nst.weights import formats, sources
from nst.weights.sources import SOURCES

PARAMETERS = {"vgg16": 14_714_688, "vgg19": 20_024_384}  # Keras' summary() without the top


def identify(source):
    return f"{source.model} {source.requirement or source.url.split('/')[2]}"


@pytest.mark.parametrize("source", SOURCES, ids=identify)
def test_every_line_can_be_used(source):
    assert source.model in ARCHITECTURES
    assert re.fullmatch(r"https://[\w./-]+|pip:[\w-]+==[\d.]+", source.url)
    assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", source.checksum)
    assert source.suffix in formats.SUFFIXES
    assert source.preprocessing in (sources.CAFFE, sources.TORCHVISION)
    assert (source.preprocessing == sources.CAFFE) == ("Oxford" in source.licence)
    assert source.licence
    assert source.published


@pytest.mark.parametrize("source", SOURCES, ids=identify)
def test_the_size_is_that_of_the_convolutions_and_what_comes_with_them(source):
    shapes = ARCHITECTURES[source.model].parameters.values()
    assert sum(map(math.prod, shapes)) == PARAMETERS[source.model]
    over = source.size - 4 * PARAMETERS[source.model]
    if source.only_convolutions:
        assert over == 0
    elif source.requirement:
        assert source.size < 4 * PARAMETERS[source.model] + 5_000_000  # a small classifier, zipped
    elif source.suffix == ".h5":
        assert 0 < over < 100_000  # names and offsets
    else:
        assert 0 < over - 4 * 123_642_856 < 100_000  # the classifier's, too


@pytest.mark.parametrize("source", SOURCES, ids=identify)
def test_every_network_is_pinned(source):
    """By its own numbers, or by the sha256 of the whole file."""
    if source.pin is None:
        assert source.checksum.startswith("sha256:")
        assert not source.only_convolutions
    else:
        assert 4 <= source.pin.convolutions <= len(ARCHITECTURES[source.model].convolutions)
        assert re.fullmatch("[0-9a-f]{64}", source.pin.sha256)


def test_the_package_index_comes_last():
    """Whoever could install the program has one; a real host is asked first."""
    assert [bool(source.requirement) for source in sources.of("vgg16")] == [False] * 4 + [True]
    assert sources.of("vgg16")[-1].suffix == ".onnx"


def test_keras_comes_first_and_every_published_model_has_a_second_source():
    for model in ("vgg16", "vgg19"):
        urls = [source.url for source in sources.of(model)]
        assert urls[0].startswith("https://storage.googleapis.com/")
        assert len(set(urls)) == len(urls) >= 2
    assert sources.of("vgg16-slim") == sources.of("vgg17") == []


def test_the_mirrors_of_one_file_agree():
    files = {}
    for source in SOURCES:
        name = source.url.rsplit("/", 1)[-1]
        assert files.setdefault(name, (source.size, source.checksum)) == (
            source.size,
            source.checksum,
        )


def test_an_orange_pixel_as_keras_and_torchvision_see_it():
    """Worked by hand from the two libraries' documentation."""
    caffe, torchvision = sources.CAFFE, sources.TORCHVISION
    orange = {"R": 1.0, "G": 0.5, "B": 0.0}

    def seen(p):
        rows = zip(p.order, p.mean, p.std, strict=True)
        return [(p.scale * orange[channel] - mean) / std for channel, mean, std in rows]

    assert seen(caffe) == pytest.approx([-103.939, 127.5 - 116.779, 255 - 123.68])
    assert seen(torchvision) == pytest.approx([0.515 / 0.229, 0.044 / 0.224, -0.406 / 0.225])
