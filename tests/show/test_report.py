"""The report: what is in the file, and how it behaves in a real browser."""

import base64
import html
import re
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import PIL.Image
import pytest
from browsers import chromium
from objectives import features_seen
from running import begun

from nst import cli, stylize
from nst.errors import NstError
from nst.pictures import images
from nst.run.inputs import prepare
from nst.settings import Painting
from nst.show import report

LESS = "\N{MINUS SIGN}75 %"
RED, BLUE, GREEN = (0.8, 0.1, 0.1), (0.1, 0.2, 0.8), (0.1, 0.7, 0.2)


def flat(colour, height, width):
    return np.broadcast_to(np.reshape(colour, (3, 1, 1)), (3, height, width)).astype(np.float32)


def step_of(step):
    losses = {"content relu2_1": 0.25 * step, "style relu1_1": 8 / step, "smoothness": 0.5}
    return {"step": step, "scale": 1, "size": 300, "seconds": 2.0 * step, "total": 1.0, **losses}


@pytest.fixture
def made(rng):
    """A report of everything: a blue painting of a red photograph, in a green style."""
    features = rng.random((5, 90))
    gram = features @ features.T / 90
    return report.Report(
        content=flat(RED, 60, 90),
        styles={"green": flat(GREEN, 80, 40)},
        painted=flat(BLUE, 200, 300),
        history=[step_of(step) for step in range(1, 5)],
        settings={"size": 300, "content_weight": 1.5, "plot": True},
        grams={"relu1_1": (gram, 1.1 * gram)},
        frames={step: flat(BLUE, 200, 300) for step in range(10, 310, 10)},
        name="red",
        command="nst stylize red.jpg 'a green.jpg' -o blue.png --size 300",
        made="nst 0.1, a network, on cpu",
    )


def pictures(page):
    """Return every PNG and JPEG of a page, by its alternative text, decoded."""
    found = re.findall(r'src="data:image/(\w+);base64,([^"]+)" alt="([^"]*)"', page)
    return {
        html.unescape(text): np.asarray(
            PIL.Image.open(BytesIO(base64.b64decode(data))).convert("RGB")
        )
        for _, data, text in found
    }


# ---- The file ------------------------------------------------------------------------


def test_everything_is_in_the_one_file(made):
    page = report.render(made)
    sources = re.findall(r'(?:src|href|srcset)="([^"]*)"', page)
    assert len(sources) == 2 + 2 + 2 + report.MOST_FRAMES + 3
    assert all(source.startswith("data:image/") for source in sources)
    assert "http" not in page
    assert "url(" not in page
    assert "$" not in page, "a gap of the template was left"


def test_the_pictures_are_the_runs(made):
    shown = pictures(report.render(made))
    expected = {
        "The painted picture": (BLUE, (200, 300)),
        "The photograph": (RED, (200, 300)),  # as large as what it is compared with
        "The photograph: red": (RED, (60, 90)),
        "The style: green": (GREEN, (80, 40)),
    }
    for text, (colour, size) in expected.items():
        assert shown[text].shape == (*size, 3)
        assert np.abs(shown[text] / 255 - colour).max() < 0.03


def test_large_pictures_are_scaled_down(made):
    large = report.Report(made.content, made.styles, flat(BLUE, 900, 1800), [], {})
    shown = pictures(report.render(large))
    assert shown["The painted picture"].shape == (640, 1280, 3)


def test_the_losses_are_in_the_table(made):
    page = report.render(made)
    row = r'<th scope="row">{}</th>' + r'<td class="number">([^<]*)</td>' * 3
    assert re.search(row.format("style relu1_1"), page).groups() == (
        "8",
        "2",
        "\N{MINUS SIGN}75 %",
    )
    assert re.search(row.format("content relu2_1"), page).groups() == ("0.25", "1", "+300 %")
    assert re.search(row.format("smoothness"), page).groups() == ("0.5", "0.5", "+0 %")
    assert "300 x 200 pixels, 4 steps, 8 s" in page


def test_losses_of_two_sizes_are_not_compared(made):
    """What a loss was at a small size says nothing of it at a larger one."""
    history = [step_of(1) | {"scale": 1}, step_of(2) | {"scale": 2}, step_of(4) | {"scale": 2}]
    page = report.render(report.Report(**{**vars(made), "history": history}))
    heads = re.findall(r'<th scope="col">([^<]*)<', page)
    assert heads == ["loss", "step 2", "step 4", "change"]
    assert '<td class="number">4</td><td class="number">2</td>' in page


def test_a_loss_that_was_none_has_no_change(made):
    history = [{"step": n, "scale": 1, "content": n - 1, "style": 50.0**n} for n in (1, 2)]
    page = report.render(report.Report(**{**vars(made), "history": history}))
    assert '<td class="number">0</td><td class="number">1</td><td class="number"></td>' in page
    assert '<td class="number">\N{MULTIPLICATION SIGN} 50</td>' in page


def test_the_settings_are_in_a_table(made):
    page = report.render(made)
    assert '<tr><th scope="row">content weight</th><td>1.5</td></tr>' in page
    assert '<tr><th scope="row">plot</th><td>yes</td></tr>' in page
    page = report.render(report.Report(**{**vars(made), "settings": {}}))
    assert "Every setting was left as it is by itself." in page


def test_the_command_stands_there_to_be_copied(made):
    page = report.render(made)
    code = re.search(r"<code>(.*?)</code>", page)[1]
    assert html.unescape(re.sub(r"<[^>]*>", "", code)) == made.command
    page = report.render(report.Report(**{**vars(made), "command": None}))
    assert "<code>" not in page


def test_frames_are_spread_evenly_from_the_first_to_the_last(made):
    page = report.render(made)
    steps = [int(step) for step in re.findall(r"<figcaption>step (\d+)<", page)]
    assert len(steps) == report.MOST_FRAMES
    assert (steps[0], steps[-1]) == (10, 300)
    assert set(np.diff(steps)) <= {20, 30}


def test_gram_matrices_are_ordered_by_the_style_and_share_one_scale(made):
    style = np.array([[1.0, 0.0, 2.0], [0.0, 4.0, 0.0], [2.0, 0.0, 16.0]])
    painted = np.array([[1.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]])
    page = report.render(report.Report(**{**vars(made), "grams": {"relu1_1": (style, painted)}}))
    shown = pictures(page)
    brightness = shown["style"].sum(axis=2, dtype=int)
    assert brightness[0, 0] > brightness[1, 1] > brightness[2, 2]  # 16, 4, 1
    assert brightness[0, 2] == brightness[2, 0] > brightness[0, 1]  # 2, 0
    np.testing.assert_array_equal(shown["painted"][0, 0], shown["style"][1, 1])  # 4 and 4
    doubled = report.Report(**{**vars(made), "grams": {"relu1_1": (style, 2 * style)}})
    shown_doubled = pictures(report.render(doubled))
    assert np.all(shown_doubled["painted"][0, 0] > shown_doubled["style"][0, 0])
    left = 100 * np.sqrt((2 * 2**2 + 12**2) / (1 + 4**2 + 16**2 + 2 * 2**2))
    difference = shown[f"difference: {left:.3g} % of the style's"]
    assert difference[1, 1].min() > 240, "what agrees is white"
    assert difference[0, 0].min() < 150


def test_of_many_channels_what_is_less_is_shown_too(made):
    channels = report.GRAM_SIDE + 8
    style, painted = (np.full((channels, channels), value) for value in (4.0, 1.0))
    grams = {"less": (style, painted), "more": (painted, style)}
    page = report.render(report.Report(**{**vars(made), "grams": grams}))
    images = re.findall(r'base64,([^"]+)" alt="difference', page)
    less, more = (np.asarray(PIL.Image.open(BytesIO(base64.b64decode(one)))) for one in images)
    assert less.shape[:2] == more.shape[:2] == (report.GRAM_SIDE, report.GRAM_SIDE)
    for shown in less, more:
        assert shown[0, 0, :3].min() < 150, "what differs is not white"
    assert not np.array_equal(less[0, 0], more[0, 0])


def test_negative_products_get_a_scale_with_a_white_zero(made):
    signed = np.array([[1.0, -0.5], [-0.5, 1.0]])
    page = report.render(report.Report(**{**vars(made), "grams": {"conv1_1": (signed, signed)}}))
    shown = pictures(page)["style"]
    assert not np.array_equal(shown[0, 0], shown[0, 1])
    assert shown.min(axis=2).max() < 240


def test_names_cannot_break_the_page(made):
    nasty = report.Report(**{**vars(made), "name": '"><script>alert(1)</script>$title'})
    page = report.render(nasty)
    assert page.count("<script>") == 1  # the page's own
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("quote", ['"', "'", '"><b ', "' \t"])
def test_a_name_stays_inside_its_attribute(made, quote):
    """A file may be called x" onerror="alert(1)/.jpg: of it nothing becomes an attribute."""
    nasty = f"x{quote} onerror={quote}alert(1) &amp; &quot;.jpg"
    names = {"name": nasty, "styles": {nasty: made.styles["green"]}}
    page = report.render(report.Report(**{**vars(made), **names}))
    plain = report.render(made)
    tags, expected = tags_of(page), tags_of(plain)
    assert [(tag, sorted(said)) for tag, said in tags] == [(t, sorted(s)) for t, s in expected]
    texts = [said["alt"] for tag, said in tags if tag == "img"]
    assert texts.count(f"The photograph: {nasty}") == 1
    assert texts.count(f"The style: {nasty}") == 1


def tags_of(page):
    """Return every opening tag of a page with its attributes, as a browser reads them."""
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, said: found.append((tag, dict(said)))
    parser.feed(page)
    return found


def test_a_run_without_a_step_has_a_report(made):
    page = report.render(report.Report(made.content, made.styles, made.painted, [], {}))
    assert "No step was taken." in page
    for heading in ("On the way", "Gram matrices"):
        assert heading not in page


def test_a_report_that_cannot_be_written_is_one_line(made, tmp_path):
    with pytest.raises(NstError, match="its folder is not there"):
        report.write(tmp_path / "nowhere" / "report.html", made)


# ---- Of a run ------------------------------------------------------------------------


def test_a_run_shows_its_pictures_its_history_and_its_frames(settings, tmp_path):
    asked = settings(report=tmp_path / "r.html", save_every=4, style_weight=2.5)
    result = stylize(asked)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<title>photograph.png in the style of painting.png</title>" in page
    assert "133 x 160 pixels, 10 steps" in page
    assert re.findall(r"<figcaption>step (\d+)<", page) == ["4", "8"]
    assert '<tr><th scope="row">style weight</th><td>2.5</td></tr>' in page
    assert ">output<" not in page
    assert str(tmp_path) not in page
    assert f'<td class="number">{result.history[-1]["smoothness"]:.4g}</td>' in page
    shown = pictures(page)["The painted picture"]
    assert np.abs(shown / 255 - np.moveaxis(result.image, 0, -1)).mean() < 0.03


def test_frames_of_a_run_are_read_as_few_and_as_small_as_they_are_shown(settings):
    """Those of a poster would fill the memory, one of them more than the page."""
    run = prepare(settings(save_every=2, steps=60, size=700))
    run, planned, state = begun(run)
    state.history = [{"step": step} for step in range(1, 53)]
    for step in range(2, 61, 2):  # of a run before as well
        images.save(run.settings.frame(step), np.zeros((3, 700, 583)))
    frames = report.of_run(run, planned, state, state.image).frames
    assert (min(frames), max(frames), len(frames)) == (2, 52, report.MOST_FRAMES)
    assert {frame.shape for frame in frames.values()} == {(3, 320, 583 * 320 // 700)}


@pytest.mark.parametrize("side", [None, 112], ids=["as a whole", "in tiles"])
def test_gram_matrices_of_a_run_are_those_of_the_features_blended(settings, files, side):
    paintings = [Painting(files / "painting.png", 3), Painting(files / "photograph.png", 1)]
    run = prepare(settings(style=paintings))
    painted = images.resize(run.present(run.content), 160, 133)
    found = report.measure_grams(run, side, painted)
    assert list(found) == list(run.recipe.style)

    def gram(image, longer=160):  # the longer side of the painted picture
        placed = images.resize(image, *images.fit(*image.shape[1:], longer))
        features = features_seen(run, placed)["relu2_1"].astype(np.float64)
        return np.einsum("irc,jrc->ij", features, features) / features[0].size

    painting, photograph = (gram(source.picture) for source in run.paintings)
    style, of_painted = found["relu2_1"]
    np.testing.assert_allclose(style, (3 * painting + photograph) / 4, rtol=1e-4)
    np.testing.assert_allclose(of_painted, gram(painted), rtol=1e-4)


def test_where_masks_part_the_picture_no_gram_matrix_is_shown(settings, files, tmp_path):
    images.save(tmp_path / "mask.png", np.ones((3, 50, 66)))
    masked = Painting(files / "painting.png", mask=tmp_path / "mask.png")
    inputs, planned, state = begun(prepare(settings(style=[masked])))
    assert report.of_run(inputs, planned, state, state.image).grams == {}


def test_a_report_cannot_overwrite_an_input(settings, files):
    with pytest.raises(NstError, match="--report would overwrite an input"):
        settings(report=files / "painting.png")


def test_a_stopped_run_is_shown_from_its_checkpoints(settings, tmp_path, capsys, monkeypatch):
    def stop(progress):
        if progress.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize(settings(checkpoint=tmp_path / "saved"), on_progress=stop)
    assert cli.main(["report", str(tmp_path / "saved")]) == 0
    (path,) = tmp_path.glob("*.html")
    assert capsys.readouterr().out.strip() == str(path)
    page = path.read_text(encoding="utf-8")
    assert "133 x 160 pixels, 7 steps" in page
    assert cli.main(["report", str(tmp_path / "saved"), "-o", str(tmp_path / "other.html")]) == 0
    monkeypatch.chdir(tmp_path / "saved")
    assert cli.main(["report", "."]) == 0
    assert (tmp_path / "other.html").is_file()


# ---- In a browser --------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def visit(browser, made, tmp_path):
    """Open the report; at the end nothing may have been complained of or fetched."""
    path = tmp_path / "a report.html"
    report.write(path, made)
    complaints, requests, contexts = [], [], []

    def open_page(**kind):
        contexts.append(browser.new_context(**kind))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert requests
    assert {url for url in requests if not url.startswith("data:")} == {path.as_uri()}


def pixel(page, x, y):
    """Return the colour in [0, 1] at a share of the slider's width and height, as it is seen."""
    shot = page.locator(".compare").screenshot()
    seen = np.asarray(PIL.Image.open(BytesIO(shot)).convert("RGB")) / 255
    return seen[int(y * seen.shape[0]), int(x * seen.shape[1])]


def test_the_slider_uncovers_the_painting_by_keyboard(visit):
    page = visit(viewport={"width": 900, "height": 700})
    assert np.abs(pixel(page, 0.1, 0.2) - BLUE).max() < 0.03  # the whole of it, at first
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('.compare input')")
    for _ in range(85):
        page.keyboard.press("ArrowRight")
    assert np.abs(pixel(page, 0.75, 0.2) - RED).max() < 0.03
    assert np.abs(pixel(page, 0.95, 0.2) - BLUE).max() < 0.03
    page.keyboard.press("Home")
    assert np.abs(pixel(page, 0.25, 0.2) - BLUE).max() < 0.03


def test_the_slider_follows_the_pointer(visit):
    page = visit(viewport={"width": 900, "height": 700})
    box = page.locator(".compare").bounding_box()
    page.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"])
    assert np.abs(pixel(page, 0.1, 0.2) - RED).max() < 0.03
    assert np.abs(pixel(page, 0.3, 0.2) - BLUE).max() < 0.03


@pytest.mark.parametrize("width", [320, 390, 1400])
def test_it_fits_a_phone_and_a_desk(visit, width):
    page = visit(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert len(shown) == 2 + 2 + 1 + report.MOST_FRAMES + 3
    assert all(shown)
    slider, column = (
        page.evaluate(f"document.querySelector('{one}').clientWidth")
        for one in (".compare", "main")
    )
    assert slider == column


def test_what_scrolls_sideways_can_be_reached_by_keyboard(visit):
    page = visit(viewport={"width": 390, "height": 800})
    for selector in (".strip", ".wide:has(.plot)"):
        page.locator(selector).focus()
        assert page.evaluate(f"document.activeElement.matches('{selector}')")
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"document.querySelector('{selector}').scrollLeft > 0")


def test_the_picture_comes_first_and_nothing_is_larger(visit):
    page = visit(viewport={"width": 1280, "height": 900})
    boxes = page.evaluate(
        "[...document.images].map(i => [i.className, i.clientWidth * i.clientHeight])"
    )
    assert boxes[0][0] == "after"
    assert boxes[0][1] == max(area for _, area in boxes)
    assert page.locator(".compare").bounding_box()["y"] < 40


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_plots_stand_on_the_page_s_own_ground(visit, scheme):
    page = visit(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    shot = page.locator(".plot").screenshot()
    seen = np.asarray(PIL.Image.open(BytesIO(shot)).convert("RGB")).reshape(-1, 3)
    paper = np.array([int(n) for n in re.findall(r"\d+", ground)])
    shares = np.abs(seen - paper).max(axis=1) <= 2
    assert shares.mean() > 0.8
    contrast = np.abs(seen.astype(int) - paper).max(axis=1)
    assert contrast.max() > 150  # there is ink to see


def test_a_click_copies_the_command(visit, made):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name=re.compile("Copied|Selected")).wait_for()
    copied = page.evaluate("getSelection().toString() || navigator.clipboard.readText()")
    assert copied == made.command


def test_light_is_light_and_dark_is_dark(visit):
    brightness = {}
    for scheme in ("light", "dark"):
        page = visit(color_scheme=scheme)
        colours = page.evaluate(
            "(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"
        )
        brightness[scheme] = [sum(map(int, re.findall(r"\d+", c))) for c in colours]
    assert brightness["light"][0] > 700 > 200 > brightness["light"][1]
    assert brightness["dark"][0] < 100 < 600 < brightness["dark"][1]
