"""The lesson in a real browser: every chapter, figure and exercise, by pointer and by keyboard."""

import json
import re
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from browsers import Visitor, chromium, served

from nst import cli, kernels
from nst.lesson import commands, stepping
from nst.lesson.answers import Answers
from nst.lesson.derivations import DERIVATIONS
from nst.lesson.exercises import EXERCISES
from nst.lesson.figures import FIGURES
from nst.lesson.pieces import encode

READY = "body[data-ready=yes]"
PATIENCE = 120_000  # milliseconds, for a machine that does much else


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def lesson(browser, subject, tmp_path_factory):
    """The lesson served and opened: of it nothing may have been complained at the end."""
    answers = Answers(subject)
    with served(commands.site(answers, tmp_path_factory.mktemp("page"))) as here:
        visitor = Visitor(browser)
        page = visitor.open(here.address, viewport={"width": 1100, "height": 800})
        page.set_default_timeout(PATIENCE)
        page.wait_for_selector(READY)
        yield SimpleNamespace(page=page, here=here, visitor=visitor, answers=answers)
        visitor.leave()
        assert visitor.complaints == []
        assert {url for url in visitor.requests if not url.startswith("data:")} <= {
            here.address,
            here.address + "figure",
            here.address + "exercise",
        }


def figure_of(lesson, name, number=0):
    return lesson.page.locator(f"figure[data-figure={name}]").nth(number)


def settle(figure):
    """Wait until the figure has its answer."""
    figure.page.wait_for_selector(f"#{figure.get_attribute('id')}[aria-busy=false]")


def value(figure, name):
    """Return a number of a figure as it came, or its text."""
    place = figure.locator(f"[data-value={name}]").first
    number = place.get_attribute("data-number")
    return float(number) if number is not None else place.text_content()


SHOWN = """figure => {
    const all = (selector, what) => [...figure.querySelectorAll(selector)].map(what);
    const typed = (c) => ["number", "range"].includes(c.type) || c.dataset.kind === "number";
    return {
        given: Object.fromEntries(all(".controls [name]",
            (c) => [c.name, typed(c) ? Number(c.value) : c.value])),
        values: all("[data-value]", (e) => [e.dataset.value, e.dataset.number, e.textContent]),
        pictures: all("[data-picture]", (e) => [e.dataset.picture, e.querySelector("img").src,
            e.querySelector("img").alt, [...e.querySelectorAll(".scale span")].map(
                (s) => s.textContent).join(" to ")]),
        marks: all("[data-marks]", (e) => [e.dataset.marks, [...e.querySelectorAll("rect")].map(
            (r) => ["x", "y", "width", "height"].map((name) => Number(r.getAttribute(name))))]),
        tables: all("[data-table]", (e) => [e.dataset.table,
            [...e.querySelectorAll("tr")].map((r) => [...r.cells].map((c) => c.textContent)),
            [...e.querySelectorAll("td[data-number]")].map((c) => Number(c.dataset.number))]),
        curves: all("[data-curves] polyline", (e) => e.getAttribute("points").split(" ").map(
            (point) => point.split(",").map(Number))),
        links: all("[data-link]", (e) => [e.dataset.link, e.getAttribute("href"), e.textContent]),
        trouble: figure.querySelector(".trouble").hidden ? "" : figure.innerText,
    };
}"""  # all that a figure shows, with one question to the browser


def chosen(figure):
    """Return what stands in the controls of a figure."""
    return figure.evaluate(SHOWN)["given"]


def agrees(lesson, figure):
    """Assert that all that a figure shows is what its function returns."""
    settle(figure)
    shown = figure.evaluate(SHOWN)
    assert shown["trouble"] == ""
    made = FIGURES[figure.get_attribute("data-figure")]
    told = encode(made.answer(lesson.answers.subject, shown["given"]))
    for name, number, text in shown["values"]:
        if isinstance(told[name], dict):
            assert (float(number), text) == (told[name]["number"], told[name]["text"])
        else:
            assert text == told[name]
    for name, source, text, scale in shown["pictures"]:
        assert source == told[name]["source"]
        assert text == told[name]["text"] != ""
        wanted = told[name]["scale"]
        assert scale == ("" if wanted is None else f"{wanted['low']} to {wanted['high']}")
    for name, rows, numbers in shown["tables"]:
        cells = [cell for row in told[name]["rows"] for cell in row]
        assert numbers == [cell["number"] for cell in cells if isinstance(cell, dict)]
        texts = [[c["text"] if isinstance(c, dict) else c for c in r] for r in told[name]["rows"]]
        assert rows == [told[name]["heads"], *texts]
    for name, rectangles in shown["marks"]:
        marks_are(rectangles, told[name])
    for points in shown["curves"]:
        curve_is(points, *told["curves"]["lines"].values())
    for name, address, text in shown["links"]:
        assert (address, text) == (f"#{told[name]['place']}", told[name]["text"])


def marks_are(rectangles, marks):
    """Assert that each mark is drawn twice, dark below bright, around what it marks."""
    assert len(rectangles) == 2 * len(marks)
    for (x, y, width, height), mark in zip(rectangles, [*marks, *marks], strict=True):
        middle = (mark["left"] + mark["right"]) / 2, (mark["top"] + mark["bottom"]) / 2
        assert (x + width / 2, y + height / 2) == pytest.approx(middle)
        assert width >= mark["right"] - mark["left"] > 0
        assert height - width == pytest.approx(
            mark["bottom"] - mark["top"] - mark["right"] + mark["left"]
        )


def curve_is(points, values):
    """Assert that a line has a point for each value, in equal steps, and 0 lowest."""
    across, down = np.array(points).T
    assert len(points) == len(values)
    assert np.all(np.diff(across) > 0)
    assert np.all(np.abs(np.diff(across, n=2)) < 1e-6)
    zero, most = 124, 10  # where the page draws 0 and the largest value
    np.testing.assert_allclose((zero - down) / (zero - most), np.array(values) / max(values))


def test_every_figure_shows_what_its_function_returns(lesson):
    figures = lesson.page.locator("figure[data-figure]").all()
    assert {f.get_attribute("data-figure") for f in figures} == set(FIGURES)
    for figure in figures:
        agrees(lesson, figure)


def test_hovering_the_gram_matrix_shows_that_entry(lesson):
    figure = figure_of(lesson, "entry")
    image = figure.locator("[data-picture=gram] .frame img")
    image.scroll_into_view_if_needed()
    box = image.bounding_box()
    lesson.page.mouse.move(
        box["x"] + box["width"] * 20.5 / 32, box["y"] + box["height"] * 5.5 / 32
    )
    settle(figure)
    assert (chosen(figure)["i"], chosen(figure)["j"]) == (5, 20)
    features = lesson.answers.subject.features["relu1_1"]
    assert value(figure, "value") == float(kernels.of(features).gram(features)[5, 20])
    agrees(lesson, figure)


def test_shuffling_leaves_the_matrix(lesson):
    figure = figure_of(lesson, "shuffle")
    slider = figure.locator("[name=percent]")
    slider.focus()
    lesson.page.keyboard.press("End")  # by keyboard
    settle(figure)
    assert value(figure, "apart") < 1e-5
    assert value(figure, "change") > 0.5 * value(figure, "size")
    assert figure.locator("output[for]").text_content() == "100"
    agrees(lesson, figure)


def test_a_nudge_measures_the_slope_that_the_formula_gives(lesson):
    figure = figure_of(lesson, "nudge")
    row, column = re.search(r"row (\d+), column (\d+)", value(figure, "strongest")).groups()
    colour = value(figure, "strongest").split(", ")[-1]
    figure.locator("[name=row]").fill(row)
    figure.locator("[name=column]").fill(column)
    figure.locator("[name=colour]").select_option(colour)
    settle(figure)
    assert value(figure, "apart") < 0.05
    assert value(figure, "slope") == pytest.approx(value(figure, "claimed"), rel=0.05)
    agrees(lesson, figure)


def test_steps_are_walked_one_by_one_to_the_same_place(lesson):
    for number, optimizer in enumerate(stepping.OPTIMIZERS):
        figure = figure_of(lesson, "step", number)
        figure.get_by_role("button", name="One step").click()
        settle(figure)
        assert chosen(figure) == {"optimizer": optimizer, "step": 1}
        assert value(figure, "loss") < value(figure, "start")
        agrees(lesson, figure)
    figure.get_by_role("button", name="Ten steps").click()
    settle(figure)
    assert chosen(figure)["step"] == 11
    here = stepping.race_of(lesson.answers.subject, "lbfgs").at(11)
    assert value(figure, "loss") == here.losses["total"]
    assert figure.locator("polyline").get_attribute("points").count(",") == 12
    figure.get_by_role("button", name="Back to the start").click()
    settle(figure)
    assert value(figure, "loss") == value(figure, "start")


def test_another_way_is_walked_from_its_start_step_by_step(lesson):
    """No question asks for more than one new step: so each answer is quick."""
    figure = figure_of(lesson, "scales")
    asked = []
    lesson.page.on(
        "request",
        lambda request: asked.append(request.post_data_json) if request.method == "POST" else None,
    )
    figure.locator("[name=step]").fill("3")
    settle(figure)
    figure.locator("[name=way]").select_option("at once")
    settle(figure)
    agrees(lesson, figure)
    walked = [(question["given"]["way"], question["given"]["step"]) for question in asked]
    assert walked == [(way, step) for way in ("coarse", "at once") for step in (1, 2, 3)]
    assert figure.locator("[data-value=losses_at]").text_content() == "the whole size"


def test_what_is_chosen_while_an_answer_is_awaited_is_asked_too(lesson):
    figure = figure_of(lesson, "distance")
    slider = figure.locator("[name=percent]")
    slider.focus()
    for _ in range(12):
        lesson.page.keyboard.press("ArrowRight")
    agrees(lesson, figure)
    assert chosen(figure)["percent"] == 42


def test_a_line_of_the_derivations_is_shown_as_it_is_written(lesson):
    figure = figure_of(lesson, "line")
    figure.locator("[name=line]").select_option("style loss")
    agrees(lesson, figure)
    written = figure.locator("[data-value=derivation]").text_content()
    assert written in DERIVATIONS.read_text(encoding="utf-8")
    assert "d_F = (d_G + d_G') F / divisor" in written
    figure.locator("[data-link=backward]").click()
    target = lesson.page.locator(f'[id="{lesson.page.url.split("#")[1]}"]')
    target.wait_for(state="visible")
    assert "def style_loss" in target.text_content()


@pytest.mark.parametrize("change", ["contrast", "negative", "darker"])
def test_a_change_can_be_taken(lesson, change):
    figure = figure_of(lesson, "blindness")
    figure.locator("[name=change]").select_option(change)
    agrees(lesson, figure)
    seen = figure.locator("tbody tr").all_text_contents()
    assert any("sees nothing" in row for row in seen)


@pytest.mark.parametrize("key", EXERCISES)
def test_an_exercise_is_checked(lesson, key):
    exercise = EXERCISES[key]
    right, because = exercise.solve(lesson.answers.subject)
    form = lesson.page.locator(f'[data-exercise="{key}"]')
    verdict = form.get_by_role("status")
    form.get_by_role("button").click()
    if form.locator(":checked").count() == 0:
        assert "Predict first" in verdict.text_content()
    for choice, word in ((1 if right == 0 else 0, "No. "), (right, "Yes. ")):
        form.get_by_role("radio").nth(choice).check()
        form.get_by_role("button").click()
        form.locator(".right" if word == "Yes. " else ".wrong").wait_for()
        assert verdict.text_content() == word + because


def test_a_link_to_a_line_opens_it(lesson):
    figure = figure_of(lesson, "entry")
    figure.locator("summary").click()
    link = figure.locator(".source a").first
    place = link.get_attribute("data-place")
    link.click()
    target = lesson.page.locator(f'[id="{place}"]')
    target.wait_for(state="visible")
    assert "f @ f.T" in target.text_content()


@pytest.mark.parametrize("width", [320, 390, 1400])
def test_it_fits_a_phone_and_a_desk(lesson, width):
    lesson.page.set_viewport_size({"width": width, "height": 800})
    assert lesson.page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_dark_is_dark(lesson):
    def brightness():
        colours = lesson.page.evaluate(
            "() => (s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"
        )
        return [sum(map(int, re.findall(r"\d+", c))) for c in colours]

    light = brightness()
    lesson.page.emulate_media(color_scheme="dark")
    dark = brightness()
    lesson.page.emulate_media(color_scheme="light")
    assert light[0] > 700 > 200 > light[1]
    assert dark[0] < 120 < 600 < dark[1]


def test_a_screen_reader_finds_its_way(lesson):
    """Headings in order, every control with a label, every picture with words, formulas too."""
    page = lesson.page
    levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert np.diff(levels).max() == 1
    controls = page.locator("input:not([type=hidden]), select")
    assert min(controls.evaluate_all("all => all.map(e => e.labels.length)")) >= 1
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert page.locator("math:not([alttext])").count() == 0
    assert page.get_by_role("navigation").count() == page.get_by_role("main").count() == 1


@pytest.mark.parametrize("number", range(1, 9))
def test_a_screen_readers_tree_says_what_there_is_to_see(lesson, number):
    """Each chapter's tree: no nameless control, picture or figure; numbers, tables, formulas."""
    section = lesson.page.locator(f'section[data-chapter="{number}"]')
    tree = section.aria_snapshot().replace("''", "'")  # quoted as YAML is
    title = section.locator("h2").text_content()
    assert f'- heading "{title}" [level=2]' in tree
    roles = "figure|img|combobox|spinbutton|slider|button|radio|link|table"
    assert not re.findall(rf"^ *- (?:{roles})(?! \")[^/\n]*$", tree, re.MULTILINE)
    for figure in section.locator("figure[data-figure]").all():
        assert f'- figure "{figure.get_attribute("aria-label")}"' in tree
        for text in figure.locator("[data-value]").all_text_contents():
            assert text in figure.inner_text()
    for exercise in (e for e in EXERCISES.values() if e.chapter == number):
        assert f"group {json.dumps(exercise.question)}" in tree
        for choice in exercise.choices:
            assert f"radio {json.dumps(choice)}" in tree
    assert len(re.findall(r"^ *- math", tree, re.M)) == section.locator("math").count()


REACHED = """() => {
    const e = document.activeElement;
    return e === document.body ? "" : (e.closest("[data-figure], [data-exercise]") ?? {}).id
        + " " + e.tagName + " " + (e.name || e.id || e.textContent.slice(0, 40));
}"""
REACHABLE = """() => [...document.querySelectorAll(
    "a[href], button, summary, select, pre[tabindex], input:not([type=hidden])")].filter(
    (e) => e.checkVisibility()).map((e) => (e.closest("[data-figure], [data-exercise]") ?? {}).id
        + " " + e.tagName + " " + (e.name || e.id || e.textContent.slice(0, 40)))"""


def test_the_keyboard_reaches_every_control_and_link(lesson):
    page = lesson.page
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    page.locator("h1").click()
    reached = set()
    for _ in range(1000):
        page.keyboard.press("Tab")
        here = page.evaluate(REACHED)
        if not here:
            break
        reached.add(here)
    assert set(page.evaluate(REACHABLE)) <= reached
    outline = page.locator("nav a").first.evaluate(
        "(e) => { e.focus({ focusVisible: true }); return getComputedStyle(e).outlineWidth; }"
    )
    assert outline == "3px"


def test_a_figure_and_an_exercise_are_worked_by_keyboard_alone(lesson):
    page = lesson.page
    figure = figure_of(lesson, "twin")
    figure.get_by_role("button", name="One step").focus()
    page.keyboard.press("Enter")
    settle(figure)
    page.keyboard.press("Space")
    settle(figure)
    assert chosen(figure)["step"] == 2
    agrees(lesson, figure)
    hvass = figure_of(lesson, "hvass")
    hvass.locator("select").focus()
    page.keyboard.press("ArrowDown")
    agrees(lesson, hvass)
    assert chosen(hvass)["picture"] == stepping.PICTURES[1]
    form = page.locator('[data-exercise="double"]')
    form.get_by_role("radio").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    form.locator(".right").wait_for()
    figure.locator("summary").focus()
    page.keyboard.press("Enter")
    assert figure.locator(".source a").first.is_visible()


def test_what_went_wrong_is_said_in_the_figure(lesson):
    figure = figure_of(lesson, "pixel")
    figure.locator("[name=row]").fill("100000")
    figure.locator(".trouble").wait_for(state="visible")
    assert "row must be from 0 to" in figure.locator(".trouble").text_content()
    lesson.visitor.complaints.clear()  # the browser says the status 400
    figure.locator("[name=row]").fill("12")
    figure.locator(".trouble").wait_for(state="hidden")
    agrees(lesson, figure)


def type_at_once(figure, name, *values):
    """Type values into a control one after the other, before the first has its answer."""
    figure.locator(f"[name={name}]").evaluate(
        """(control, values) => values.forEach((value) => {
            control.value = value;
            control.dispatchEvent(new Event("input", { bubbles: true }));
        })""",
        values,
    )


def test_what_is_chosen_while_a_refusal_is_awaited_is_asked_too(lesson):
    figure = figure_of(lesson, "pixel")
    type_at_once(figure, "row", "100000", "13")
    settle(figure)
    lesson.visitor.complaints.clear()  # the browser says the status 400
    assert chosen(figure)["row"] == 13
    agrees(lesson, figure)


def test_a_step_that_is_none_is_refused_by_its_name_and_the_walk_goes_on(lesson):
    figure = figure_of(lesson, "twin")
    for typed in ("2.5", "100", "-1"):
        figure.locator("[name=step]").fill(typed)
        figure.locator(".trouble").get_by_text(f"found {typed}").wait_for()
    lesson.visitor.complaints.clear()
    figure.locator("[name=step]").fill("2.5")
    figure.get_by_role("button", name="One step").click()
    figure.locator(".trouble").wait_for(state="hidden")
    lesson.visitor.complaints.clear()
    agrees(lesson, figure)
    assert chosen(figure)["step"] == 3


@contextmanager
def without_a_server(lesson):
    lesson.page.route(lesson.here.address + "**", lambda route: route.abort())
    yield
    lesson.page.unroute(lesson.here.address + "**")
    lesson.visitor.complaints.clear()  # the browser says that nothing came


def test_a_walk_that_the_server_left_stops_and_goes_on_where_it_was(lesson):
    figure = figure_of(lesson, "twin")
    figure.get_by_role("button", name="Back to the start").click()
    settle(figure)
    with without_a_server(lesson):
        figure.locator("[name=step]").fill("2")
        figure.locator(".trouble").get_by_text("is nst lesson still running?").wait_for()
        settle(figure)
    with lesson.page.expect_request("**/figure") as asked:
        figure.locator("[name=step]").fill("3")
    assert asked.value.post_data_json["given"]["step"] == 1
    agrees(lesson, figure)


def test_an_exercise_without_a_server_says_so(lesson):
    form = lesson.page.locator("[data-exercise=relu]")
    form.get_by_role("radio").first.check()
    with without_a_server(lesson):
        form.get_by_role("button").click()
        form.get_by_text("The server does not answer; is nst lesson still running?").wait_for()


def test_where_there_is_nothing_to_predict_no_guess_is_right_or_wrong(lesson):
    form = lesson.page.locator("[data-exercise=wish]")
    told = {"right": None, "because": "There is nothing to predict here."}
    lesson.page.route("**/exercise", lambda route: route.fulfill(json=told))
    form.get_by_role("radio").first.check()
    form.get_by_role("button").click()
    form.get_by_text(told["because"]).wait_for()
    lesson.page.unroute("**/exercise")
    assert form.get_by_role("status").text_content() == told["because"]
    assert form.locator(".right, .wrong").count() == 0


# ---- Without a server --------------------------------------------------------------------------


def test_the_export_opens_from_a_file_and_shows_what_was_recorded(
    browser, subject, tmp_path, capsys
):
    path = tmp_path / "a lesson.html"
    assert cli.main(["lesson", "--size", "64", "--export", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert path.stat().st_size < 8_000_000
    visitor = Visitor(browser)
    page = visitor.open(path.as_uri())
    page.set_default_timeout(PATIENCE)
    page.wait_for_selector(READY)
    figure = page.locator("figure[data-figure=shuffle]")
    figure.locator("[data-view]").select_option(label="tap relu1_1, channel 3, percent 100")
    settle(figure)
    told = encode(
        FIGURES["shuffle"].answer(subject, {"tap": "relu1_1", "channel": 3, "percent": 100})
    )
    assert value(figure, "change") == told["change"]["number"]
    assert page.locator(".trouble:not([hidden])").count() == 0
    assert page.locator("[data-value]:empty").count() <= 1  # a remark that there is none
    form = page.locator("[data-exercise=relu]")
    form.get_by_role("radio").nth(1).check()
    form.get_by_role("button").click()
    assert form.get_by_role("status").text_content().startswith("Yes. ")
    page.evaluate("() => { recorded.exercises.relu.right = null; }")  # nothing to predict
    form.get_by_role("button").click()
    assert form.get_by_role("status").text_content() == EXERCISES["relu"].solve(subject)[1]
    assert visitor.complaints == []
    assert {url for url in visitor.requests if not url.startswith("data:")} == {path.as_uri()}
    visitor.leave()
