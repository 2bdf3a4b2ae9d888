"""The studio in a real browser, as an artist uses it."""

import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from asking import until
from PIL import Image
from playwright.sync_api import expect

from nst import cli, demo
from nst.extras import installing
from nst.pictures import images
from nst.studio import door, server
from nst.studio.alone import alone_in
from nst.studio.studio import PAGE
from nst.studio.wish import LABELS, Wish

KNOBS = ("content_weight", "style_weight", "style_scale", "strength", "edges")


@pytest.fixture
def open_page(here, visitor):
    """Open the studio; what it asks for is here and nowhere else."""

    def opened(**kind):
        page = visitor.open(here.address, **kind)
        expect(page.locator("#command")).to_contain_text("nst demo swirl")
        return page

    yield opened
    asked = {address for address in visitor.requests if not address.startswith("data:")}
    assert all(address.startswith((here.address, "blob:")) for address in asked)


def small(page, steps="60"):
    page.fill("#size", "64")
    page.fill("#steps", steps)
    page.locator("#steps").blur()
    expect(page.locator("#command")).to_contain_text("--size 64")
    expect(page.locator("#command")).to_contain_text(f"--steps {steps}")


def turn(page, knob, value):
    """Move a slider as a person does; its input event follows."""
    page.locator(f"#{knob}").fill(str(value))


def step_of(page):
    found = re.search(r"step (\d+)", page.text_content("#status"))
    return int(found[1]) if found else 0


def pause(page):
    expect(page.locator("#paint")).to_have_text("Pause")
    page.click("#paint")
    expect(page.locator("#paint")).to_have_text("Go on")


def painted(page):
    expect(page.locator(".compare .after")).to_be_visible()
    assert page.evaluate("document.querySelector('.after').naturalWidth") > 0


def paused(open_page):
    """Return a page whose picture has been begun, and is paused."""
    page = open_page()
    small(page, "100000")
    page.click("#paint")
    painted(page)
    pause(page)
    return page


def test_a_run_begun_paused_stepped_changed_stopped_and_downloaded(open_page, studio, tmp_path):
    page = open_page()
    expect(page.locator("#stop")).to_be_disabled()
    small(page, "100000")
    page.click("#paint")
    painted(page)
    pause(page)
    before = step_of(page)
    assert before
    # One of equal losses has no height, and is not "visible".
    expect(page.locator("#chart polyline.style")).to_have_attribute(
        "points", re.compile(r"\S+ \S+")
    )
    page.click("#step")
    expect(page.locator("#status")).to_contain_text(f"step {before + 1} of")
    turn(page, "style_weight", "0.6")
    expect(page.locator("output[for=style_weight]")).to_have_text("\N{MULTIPLICATION SIGN} 4.0")
    page.wait_for_timeout(500)  # milliseconds: knobs are sent when they rest
    page.click("#step")
    expect(page.locator("#status")).to_contain_text(f"step {before + 2} of")
    expect(page.locator("#command")).to_contain_text("--style-weight 3.98")
    expect(page.locator("#command")).to_contain_text("--init nst-studio/inputs/")
    expect(page.locator("#chart line.turn")).to_have_count(1)
    page.click("#stop")
    expect(page.locator("#status")).to_contain_text("Stopped and kept")
    expect(page.locator("#status")).to_contain_text("in nst-studio/photograph-swirl.png")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "photograph-swirl.png"
    download.value.save_as(tmp_path / "got.png")
    texts = images.read_metadata(tmp_path / "got.png")
    assert json.loads(texts["nst settings"])["style_weight"] == 3.98
    expect(page.locator("#history button")).to_have_count(1)


def test_a_page_that_is_reloaded_or_closed_loses_nothing(open_page, here, studio):
    page = open_page()
    small(page, "100000")
    turn(page, "strength", "0.5")
    page.click("#paint")
    painted(page)
    page.reload()
    painted(page)
    pause(page)
    expect(page.locator("output[for=strength]")).to_have_text("50 %")
    assert page.input_value("#size") == "64"
    at = step_of(page)
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile(f"step {at}:"))
    page.close()
    (piece,) = studio._pieces.values()
    studio.painter.go(piece, 2)
    again = open_page()
    expect(again.locator("#status")).to_contain_text(f"step {at + 2} of")
    again.click("#stop")
    expect(again.locator("#status")).to_contain_text("Stopped and kept")


def test_a_page_that_is_loaded_anew_has_the_last_picture_and_the_knobs_as_they_were(open_page):
    page = open_page()
    small(page, "3")
    page.click("#paint")
    expect(page.locator("#status")).to_contain_text("Painted: step 3")
    turn(page, "strength", "0.5")
    expect(page.locator("#command")).to_contain_text("--strength 0.5")
    page.reload()
    painted(page)
    expect(page.locator("#status")).to_contain_text("Painted: step 3")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile("step 3:"))
    expect(page.locator("output[for=strength]")).to_have_text("50 %")
    page.click("#reset")
    expect(page.locator("output[for=strength]")).to_have_text("100 %")
    assert page.input_value("#size") == ""


def test_a_picture_whose_knobs_were_turned_is_reopened_with_its_curves(open_page, studio, here):
    page = paused(open_page)
    turn(page, "style_weight", "0.6")
    page.wait_for_timeout(500)  # milliseconds: knobs are sent when they rest
    page.click("#step")
    expect(page.locator("#chart line.turn")).to_have_count(1)
    page.click("#stop")
    expect(page.locator("#status")).to_contain_text("Stopped and kept")
    at = step_of(page)
    studio._pieces.clear()  # as after the studio was ended and begun again
    page.goto(here.address)
    page.click("#history button")
    expect(page.locator("#status")).to_contain_text(f"step {at},")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile(f"step {at}:"))
    expect(page.locator("#chart line.turn")).to_have_count(1)
    expect(page.locator("#beyond")).to_contain_text("stopped on its way")
    expect(page.locator("#command")).to_contain_text("--from")
    turn(page, "strength", "0.5")
    expect(page.locator("#beyond")).to_be_empty()


def test_a_picture_whose_knobs_were_turned_says_that_they_alone_do_not_repeat_it(open_page, here):
    page = open_page()
    small(page, "200")
    page.click("#paint")
    painted(page)
    turn(page, "style_weight", "0.6")
    expect(page.locator("#chart line.turn")).to_have_count(1)
    expect(page.locator("#status")).to_contain_text("Painted: step")
    page.click("#history button")
    expect(page.locator("#beyond")).to_contain_text("painted with --scales and --init too")
    page.click("#paint")  # another picture, which has none of that
    expect(page.locator("#beyond")).to_be_empty()


def test_what_is_typed_right_before_paint_is_there_in_a_page_that_is_loaded_anew(open_page):
    page = open_page()
    small(page, "3")
    page.fill("#steps", "2")
    page.click("#paint")  # which leaves the field, too
    expect(page.locator("#status")).to_contain_text("Painted: step 2")
    page.reload()
    painted(page)
    assert (page.input_value("#size"), page.input_value("#steps")) == ("64", "2")


def test_messages_call_the_knobs_as_the_page_does():
    page = PAGE.read_text("utf-8")
    labels = dict(re.findall(r'<label for="(\w+)">([^<]+)</label>', page))
    assert {name.replace("-", "_"): label for name, label in LABELS.items()} == labels


def test_a_second_tab_sees_the_same_and_what_it_begins_waits(open_page, visitor, here):
    first = open_page()
    small(first, "100000")
    first.click("#paint")
    painted(first)
    second = visitor.another(first.context, here.address)
    painted(second)
    pause(second)
    expect(first.locator("#paint")).to_have_text("Go on")
    turn(second, "edges", "20")
    expect(first.locator("output[for=edges]")).to_have_text("off")
    second.wait_for_timeout(400)
    second.click("#step")
    expect(first.locator("output[for=edges]")).to_have_text("20")
    photo = {"name": "another.png", "mimeType": "image/png", "buffer": demo_png()}
    second.set_input_files("#content-file", photo)
    expect(second.locator("#paint")).to_have_text("Paint next")
    second.click("#paint")
    expect(second.locator("#waiting")).to_contain_text("another-swirl.png: waits")
    expect(first.locator("#waiting")).to_contain_text("another-swirl.png: waits")
    first.get_by_role("button", name="Take off: another-swirl.png").click()
    expect(second.locator("#waiting")).to_be_hidden()
    first.click("#stop")
    expect(second.locator("#stop")).to_be_disabled()


def test_knobs_that_are_turned_while_it_is_paused_stay_turned(open_page):
    page = paused(open_page)
    turn(page, "style_weight", "0.6")
    expect(page.locator("#command")).to_contain_text("--style-weight 3.98")
    turn(page, "edges", "20")
    expect(page.locator("#command")).to_contain_text("--edges 20")
    page.click("#step")
    expect(page.locator("#command")).to_contain_text("--init nst-studio/inputs/")
    for words in ("--style-weight 3.98", "--edges 20"):
        expect(page.locator("#command")).to_contain_text(words)
    page.click("#stop")
    expect(page.locator("#status")).to_contain_text("Stopped and kept")


def test_the_buttons_of_those_that_wait_stay_while_it_is_painted(open_page, studio):
    page = open_page()
    small(page, "100000")
    page.click("#paint")
    painted(page)
    studio.begin(Wish(size=64, steps=3))
    button = page.get_by_role("button", name="Take off: photograph-swirl-2.png")
    button.focus()
    studio.painter.pause(next(iter(studio._pieces.values())))
    expect(page.locator("#paint")).to_have_text("Go on")
    at = step_of(page)
    page.evaluate("document.querySelector('#step').click()")
    expect(page.locator("#status")).to_contain_text(f"step {at + 1} of")
    expect(button).to_be_focused()
    button.click()
    expect(page.locator("#waiting")).to_be_hidden()


def two_tabs(open_page, visitor, here):
    """Return two tabs of which none has painted yet, with the same knobs."""
    first = open_page()
    small(first, "100000")
    second = visitor.another(first.context, here.address)
    expect(second.locator("#command")).to_contain_text("--size 64")
    return first, second


def test_what_is_chosen_for_the_next_stays_while_one_is_painted(open_page, visitor, here, studio):
    first, second = two_tabs(open_page, visitor, here)
    photo = {"name": "mine.png", "mimeType": "image/png", "buffer": demo_png()}
    second.set_input_files("#content-file", photo)
    expect(second.locator("#command")).to_contain_text("mine.png")
    turn(second, "edges", "30")
    expect(second.locator("#command")).to_contain_text("--edges 30")
    chosen = second.get_attribute("#content-preview", "src")
    first.click("#paint")
    expect(second.locator("#status")).to_contain_text("Painting: step")
    expect(second.locator("output[for=edges]")).to_have_text("30")
    turn(second, "edges", "31")
    until(lambda: studio._wish.edges == 31)
    second.reload()
    expect(second.locator("#status")).to_contain_text("Painting: step")
    expect(second.locator("output[for=edges]")).to_have_text("31")
    first.click("#stop")
    expect(second.locator("#status")).to_contain_text("Stopped and kept")
    expect(second.locator("output[for=edges]")).to_have_text("31")
    assert second.get_attribute("#content-preview", "src") == chosen


def test_knobs_that_were_set_for_the_next_turn_no_other_tab_s_picture(open_page, visitor, here):
    first, second = two_tabs(open_page, visitor, here)
    turn(second, "edges", "30")
    expect(second.locator("#command")).to_contain_text("--edges 30")
    first.click("#paint")
    expect(second.locator("#waiting")).to_contain_text("photograph-swirl.png: painting")
    expect(second.locator("output[for=edges]")).to_have_text("30")
    expect(second.locator("#paint")).to_have_text("Paint next")
    second.get_by_role("button", name="Show: photograph-swirl.png").click()
    expect(second.locator("output[for=edges]")).to_have_text("off")


def test_a_warning_that_was_told_is_told_no_more(open_page, studio):
    page = open_page()
    alert = page.get_by_role("alert")
    studio.heard("the mask is stretched")
    expect(alert).to_contain_text("the mask is stretched")
    page.click("#dismiss")
    expect(alert).to_be_hidden()
    page.reload()
    studio.begin(Wish(size=64, steps=3), 1)
    expect(page.locator("#status")).to_contain_text("Paused: step 1")
    expect(alert).to_be_hidden()
    studio.heard("the mask is stretched")
    expect(alert).to_contain_text("the mask is stretched")


def test_a_download_that_is_refused_says_why_in_the_page(open_page, studio, here, visitor):
    page = open_page()
    small(page, "3")
    page.click("#paint")
    expect(page.locator("#status")).to_contain_text("Painted: step 3")
    (studio.folder / "photograph-swirl.png").unlink()
    page.click("#download")
    expect(page.get_by_role("alert")).to_contain_text("there is no picture photograph-swirl.png")
    assert page.url == here.address
    forget_refusals(visitor)


def demo_png():
    path = demo.style_path("waves")
    small = images.as_uint8(images.resize(images.load(path), 40, 60))
    file = io.BytesIO()
    Image.fromarray(small).save(file, "PNG")
    return file.getvalue()


def test_pictures_are_handed_in_by_dropping_and_choosing(open_page, studio, visitor):
    page = open_page()
    data = list(demo_png())
    page.evaluate(
        """([selector, data]) => {
            const given = new DataTransfer();
            given.items.add(new File([new Uint8Array(data)], "dropped.png"));
            const target = document.querySelector(selector);
            target.dispatchEvent(new DragEvent("drop", {dataTransfer: given, bubbles: true}));
        }""",
        ["[data-kind=style] h2", data],
    )
    expect(page.locator("#command")).to_contain_text("nst-studio/inputs/dropped.png -o")
    photo = {"name": "a <b>.png", "mimeType": "image/png", "buffer": demo_png()}
    page.set_input_files("#content-file", photo)
    expect(page.locator("#command")).to_contain_text("nst stylize nst-studio/inputs/")
    text = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.set_input_files("#content-file", text)
    expect(page.get_by_role("alert")).to_contain_text("notes.png: it is not")
    assert len(list((studio.folder / "inputs").iterdir())) == 1  # the same bytes, kept once
    forget_refusals(visitor)


def test_100_megabytes_are_refused_in_one_line(open_page, visitor, tmp_path):
    page = open_page()
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    page.set_input_files("#content-file", large)
    expect(page.get_by_role("alert")).to_contain_text("large.jpg has 100 MB, more than the 64")
    said = page.evaluate(  # as a page that does not look first
        """() => fetch("pictures?name=a", {method: "POST", body: new Blob([new Uint8Array(1e8)])})
            .then((answer) => answer.json()).then((said) => said.error)"""
    )
    assert said == door.TOO_LARGE
    forget_refusals(visitor)


def forget_refusals(visitor):
    """Forget the browser's own word for an answer that refuses, and for nothing else."""
    others = [text for text in visitor.complaints if not re.search("status of 4(00|13)", text)]
    visitor.complaints[:] = others


def test_a_refusal_speaks_of_the_page_s_knobs_and_nothing_is_lost(open_page, here, visitor):
    page = open_page()
    page.fill("#size", "5")
    page.locator("#size").blur()
    expect(page.get_by_role("alert")).to_contain_text(
        "“Size in pixels” is 5; it must be between 16 and"
    )
    small(page)
    expect(page.get_by_role("alert")).to_be_hidden()
    page.click("#estimate")
    expect(page.locator("#lines")).to_contain_text(re.compile("about .* memory"))
    forget_refusals(visitor)


def test_a_mask_is_painted_with_the_brush_and_with_the_keyboard(open_page, studio):
    page = open_page()
    small(page, "2")
    page.click("#content-brush")
    canvas = page.locator("#brush canvas")
    expect(canvas).to_be_visible()
    page.click("#brush-use")
    expect(page.locator("#brush-help")).to_contain_text("Nothing is painted yet")
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 2
    page.mouse.move(x, y - 60)
    page.mouse.down()
    page.mouse.move(x, y + 60, steps=5)
    page.mouse.up()
    page.click("#brush-use")
    expect(page.locator("#command")).to_contain_text("--content-mask nst-studio/inputs/")
    (path,) = (studio.folder / "inputs").glob("photograph-mask*.png")
    mask = images.load(path)[0]
    height, width = mask.shape
    assert mask[height // 2, width // 4] == 1
    assert mask[height // 2, 3 * width // 4] == 0
    page.click("#style-brush")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.click("#brush-use")
    expect(page.locator("#command")).to_contain_text("--style-mask nst-studio/inputs/")
    (path,) = (studio.folder / "inputs").glob("painting-mask*.png")
    brushed = images.load(path)[0]
    assert brushed[brushed.shape[0] // 2, brushed.shape[1] // 2 + 16] == 1
    page.click("#paint")
    expect(page.locator("#status")).to_contain_text("Painted: step 2")


def test_what_was_painted_is_reopened_with_its_settings(open_page, studio, here, visitor):
    page = open_page()
    small(page, "3")
    turn(page, "content_weight", "0.5")
    page.select_option("#color", "match")
    page.click("#paintings [data-id=glass]")
    page.click("#paint")
    expect(page.locator("#history button")).to_have_count(1)
    expect(page.locator("#status")).to_contain_text("Painted: step 3")
    page.click("#reset")
    page.click("#paintings [data-id=waves]")
    expect(page.locator("output[for=content_weight]")).to_have_text("\N{MULTIPLICATION SIGN} 1.0")
    page.click("#history button")
    expect(page.locator("output[for=content_weight]")).to_have_text("\N{MULTIPLICATION SIGN} 3.2")
    assert page.input_value("#color") == "match"
    expect(page.locator("#paintings [aria-pressed=true]")).to_have_text("glass")
    painted(page)
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "photograph-glass.png"


def test_the_photograph_is_uncovered_by_keyboard(open_page):
    page = open_page()
    small(page, "2")
    page.click("#paint")
    expect(page.locator("#status")).to_contain_text("Painted: step 2")
    painted(page)
    slider = page.get_by_label("How much of the photograph covers the painted picture")
    slider.focus()
    page.keyboard.press("End")
    style = "document.querySelector('.compare').style.getPropertyValue('--share')"
    assert page.evaluate(style) == "100%"


def test_pictures_travel_when_the_last_has_arrived(open_page, here):
    page = open_page()
    under_way, most = [], []

    def asked(route):
        under_way.append(route)
        most.append(len(under_way))

    page.route(re.compile(r"/picture\?v="), asked)
    small(page, "100000")
    page.click("#paint")
    while len(most) < 3:
        page.wait_for_timeout(150)
        if under_way:
            under_way.pop(0).continue_()
    page.click("#stop")
    expect(page.locator("#stop")).to_be_disabled()
    page.unroute_all(behavior="ignoreErrors")
    assert max(most) == 1
    assert len(most) < step_of(page)


def test_everything_is_named_and_reached_by_keyboard(open_page):
    page = open_page()
    assert page.evaluate("document.documentElement.lang") == "en"
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, a, [role=img]")]
            .filter((one) => !(one.getAttribute("aria-label") || (one.matches("input, select")
                ? one.labels.length : one.textContent.trim()))).map((one) => one.outerHTML)"""
    )
    assert unnamed == []
    names = re.findall(r'- button "(.*?)"', page.locator("#sources").aria_snapshot())
    assert len(names) == len(set(names)), names
    expect(page.get_by_label("Choose a photograph")).to_have_count(1)
    expect(page.get_by_label("Mask of the painting")).to_have_count(1)
    assert page.evaluate("[...document.images].every((one) => one.hasAttribute('alt'))")
    reached = set()
    for _ in range(45):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    wanted = {*KNOBS, "paint", "step", "content-file", "style-file", "color", "size", "recipe"}
    wanted |= {"model", "steps", "effort", "estimate", "copy", "content-brush", "reset"}
    assert wanted <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_it_fits_every_screen_in_readable_colours(open_page, scheme, width):
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.evaluate(
        """() => ["h1", "#hint", "#command", ".knob output", "#paint", "#reset"].map((name) => {
            const one = document.querySelector(name);
            let behind = one;
            while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)")
                behind = behind.parentElement ?? (() => { throw name; })();
            return [name, getComputedStyle(one).color, getComputedStyle(behind).backgroundColor];
        })"""
    )
    colours += page.evaluate(
        """() => ["content", "style", "smoothness", "edges"].map((kind) => {
            const label = element("text", { class: kind }, kind);
            $("chart").append(label);
            const paper = getComputedStyle(document.body).backgroundColor;
            return [kind, getComputedStyle(label).fill, paper];
        })"""
    )
    for name, ink, paper in colours:
        assert contrast(ink, paper) >= 4.5, (name, ink, paper)  # WCAG 2.2, 1.4.3


@pytest.mark.parametrize("width", [360, 768])
def test_a_message_is_not_behind_the_bar_of_a_small_screen(open_page, visitor, width):
    page = open_page(viewport={"width": width, "height": 640})
    text = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.set_input_files("#content-file", text)
    expect(page.get_by_role("alert")).to_contain_text("notes.png: it is not")
    seen = page.evaluate(
        """() => {
            const box = $("alert").getBoundingClientRect();
            return 0 <= box.top && box.bottom <= $("transport").getBoundingClientRect().top;
        }"""
    )
    assert seen
    forget_refusals(visitor)


def test_large_text_stays_in_its_card_on_a_small_screen(open_page):
    page = open_page(viewport={"width": 360, "height": 700})
    page.evaluate("document.documentElement.style.fontSize = '32px'")
    outside = page.evaluate(
        """() => [...document.querySelectorAll(".source button, .source label, header > *")]
            .filter((one) => one.checkVisibility()).filter((one) => {
                const box = one.getBoundingClientRect();
                const card = one.closest(".source, header").getBoundingClientRect();
                return box.left < card.left || box.right > card.right;
            }).map((one) => one.outerHTML)"""
    )
    assert outside == []


def contrast(*colours):
    """Return the ratio that WCAG defines."""

    def luminance(colour):
        levels = np.array([int(n) for n in re.findall(r"\d+", colour)[:3]]) / 255
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        return linear @ (0.2126, 0.7152, 0.0722)

    low, high = sorted(map(luminance, colours))
    return (high + 0.05) / (low + 0.05)


# ---- The command -----------------------------------------------------------------------------


def test_without_its_packages_the_command_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["studio", "--no-browser"]) == 2
    told = capsys.readouterr().err
    assert f"there is no uvicorn: `{installing('studio')}` brings them." in told


def test_two_studios_cannot_be_in_one_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server, "serve", lambda *_: None)
    command = ["studio", "--no-browser", "-o", "some/where"]
    with alone_in(tmp_path / "some" / "where"):
        assert cli.main(command) == 2
        assert capsys.readouterr().err == (
            "nst: another studio is at work in the folder some/where: paint in its page, end it, "
            "or give this one another --output.\n"
        )
    assert list(tmp_path.iterdir()) == []
    assert cli.main(command) == 0


def test_the_command_prints_its_address_and_ends_at_a_signal(tmp_path):
    command = [sys.executable, "-m", "nst", "studio", "--no-browser", "-o", "here"]
    child = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert re.fullmatch(r"Paint at http://127\.0\.0\.1:\d+/[\w-]{32}/\n", child.stdout.readline())
    assert child.poll() is None
    child.terminate()
    _, said = child.communicate(timeout=60)
    assert child.returncode == 143
    assert "Nothing was painted in here." in said
    assert list(tmp_path.iterdir()) == []
