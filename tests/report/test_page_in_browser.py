"""The page of a run as people get it: opened from disk, in Chromium."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from playwright.sync_api import Browser, Page, sync_playwright

from sound_pipeline.report.page import write_page
from tests.report import example_runs

pytestmark = pytest.mark.slow

NARROW, WIDE = (375, 812), (1440, 900)
SCHEMES = ("light", "dark")
HOSTILE = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'> a & b \"c\""
SOUNDS = ((22050, 1.5), (44100, 0.05), (44100, 0.2), (1000, 1.0), (8000, 0.5), (384000, 0.5))
LONG_NAMES = tuple(f"machine_{n:02}_with_a_rather_long_name" for n in range(50))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; the tests skip, or fail in CI, where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        how = f"none of {', '.join(names)} is installed: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run this test: {how}")
        pytest.skip(how)
    # The sandbox can't be had by root, as whom CI runs; playing needs a click otherwise.
    flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=flags)
        yield opened
        opened.close()


def _write(path: Path, figures: dict[str, Any], **others: Any) -> Path:
    mistakes = others.pop("mistakes", [])
    write_page(path, dataclasses.replace(example_runs.results(figures), **others), mistakes)
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By name: pages with all their sections, of few and many classes, and a perfect one's."""
    directory = tmp_path_factory.mktemp("pages with #, % & spaces")
    usual = example_runs.figures()
    usual["unreadable"] = {"/a/long/path/" * 12 + HOSTILE: "it is empty"}
    many = example_runs.figures(LONG_NAMES, 0.7, 400, folds=10)
    many |= {"split": "random split (leaky)", "leaked_fraction": 0.973}
    many["unknown"] = {"classes": [HOSTILE], "clips": 40, "auroc": 0.81}
    url = "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"
    many |= {"extractor": url, "data_set": "recordings_of_the_whole_yard_in_the_autumn_of_2024"}
    hostile = example_runs.excerpt(f"sounds/{'x' * 90}{HOSTILE}", HOSTILE, HOSTILE)
    sounds = [
        example_runs.excerpt(f"sounds/{rate}-{seconds}.wav", sample_rate_hz=rate, seconds=seconds)
        for rate, seconds in SOUNDS
    ]
    return {
        "usual": _write(directory / "usual.html", usual, mistakes=sounds),
        "many": _write(
            directory / "many.html",
            many,
            curves=example_runs.learning_curves(10),
            mistakes=[hostile] * 3,
            config=dataclasses.replace(example_runs.config(), extractor=url),
            command=f"train.py  --data_dir='my  sounds' --extractor={url} --name={'x' * 150}",
        ),
        "perfect": _write(
            directory / "perfect.html",
            example_runs.figures(("bat", HOSTILE), 1.0, folds=1),
            curves={HOSTILE: {"loss": [1.0]}},
        ),
    }


@contextmanager
def shown(
    browser: Browser, path: Path, size: tuple[int, int] = WIDE, scheme: str = "light"
) -> Iterator[Page]:
    """The opened page; fails on anything in the console and on every request to elsewhere."""
    width, height = size
    troubles: list[str] = []
    requested: list[str] = []
    with browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
    ) as context:
        tab = context.new_page()
        tab.on("console", lambda message: troubles.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("dialog", lambda dialog: troubles.append(dialog.message))
        tab.on("request", lambda request: requested.append(request.url))
        tab.goto(path.as_uri())
        yield tab
    assert not troubles
    elsewhere = [url for url in requested if not url.startswith("data:")]
    assert elsewhere == [path.as_uri()]


def test_every_sound_plays(browser: Browser, pages: dict[str, Path]) -> None:
    """Of any rate and length that recordings come in, to its end or on and on."""
    with shown(browser, pages["usual"]) as tab:
        heard = tab.evaluate(
            """async () => {
                const heard = [];
                for (const audio of document.querySelectorAll('audio')) {
                    const before = audio.duration;
                    await audio.play();
                    const start = performance.now();
                    const enough = Math.min(0.25, audio.duration);
                    while (audio.currentTime < enough && performance.now() - start < 10000)
                        await new Promise(done => setTimeout(done, 20));
                    heard.push([before, audio.currentTime >= enough, audio.error?.message]);
                    audio.pause();
                }
                return heard;
            }"""
        )
        players = tab.locator("audio").all()
        assert all(player.is_visible() for player in players)
        promised = [float(player.get_attribute("data-seconds") or "nan") for player in players]
    assert promised == pytest.approx([seconds for _, seconds in SOUNDS], abs=0.001)
    assert [seconds for seconds, _, _ in heard] == pytest.approx(promised, abs=0.001)
    assert [(played, error) for _, played, error in heard] == [(True, None)] * len(SOUNDS)


@pytest.mark.parametrize("name", ["usual", "many", "perfect"])
@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_the_page_fits_the_window(
    browser: Browser, pages: dict[str, Path], name: str, size: tuple[int, int], tmp_path: Path
) -> None:
    with shown(browser, pages[name], size) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.evaluate("window.ran") is None
        # Nothing is pushed out of its column but what can be scrolled to.
        outside = tab.evaluate(
            """() => {
                const walker = document.createTreeWalker(document.body);
                const range = document.createRange(), outside = [];
                while (walker.nextNode()) {
                    const node = walker.currentNode;
                    const isText = node.nodeType == Node.TEXT_NODE;
                    const e = isText ? node.parentElement : node;
                    if (e.closest('.unseen') || e.closest('.scroll') && !e.matches('.scroll'))
                        continue;
                    range.selectNode(node);
                    const box = (isText ? range : e).getBoundingClientRect();
                    if (box.width && (box.left < -0.5 || box.right > innerWidth + 0.5))
                        outside.push(node.textContent.slice(0, 90));
                }
                return outside;
            }"""
        )
        assert outside == []
        key = ["#headline", "#interval", "#split", "#folds", "table.classes", "table.matrix"]
        key += ["#mistakes", "#scores svg", "#min-score", "#learning svg", "#command"]
        for selector in key:
            assert tab.locator(selector).first.is_visible(), selector
        # What a run is judged by is seen without scrolling: the figure, or what is wrong with it.
        first = "#leak-warning" if name == "many" else "#headline"
        box = tab.locator(first).bounding_box()
        assert box is not None and box["y"] + min(box["height"], 100) < size[1]
        image = tmp_path / f"{name}-{size[0]}.png"
        tab.screenshot(path=image, full_page=True)
    pixels = tf.io.decode_png(image.read_bytes(), channels=3).numpy()
    assert pixels.shape[1] == size[0] and pixels.shape[0] > 2 * size[1]
    # Every stretch of it has something to see.
    for stretch in np.array_split(pixels, len(pixels) // 800):
        assert len(np.unique(stretch.astype(np.int32) @ [65536, 256, 1])) > 20


@pytest.mark.parametrize("name", ["usual", "many"])
@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_no_text_is_tiny(
    browser: Browser, pages: dict[str, Path], name: str, size: tuple[int, int]
) -> None:
    with shown(browser, pages[name], size) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        sizes = tab.evaluate(
            """() => {
                const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
                const sizes = [];
                while (walker.nextNode()) {
                    const node = walker.currentNode, e = node.parentElement;
                    const text = node.data.trim();
                    if (!text || e.matches('svg title')) continue;
                    const scale = e instanceof SVGElement ? e.getScreenCTM().a : 1;
                    sizes.push([parseFloat(getComputedStyle(e).fontSize) * scale, text]);
                }
                return sizes;
            }"""
        )
    assert len(sizes) > 300
    assert [(text, pixels) for pixels, text in sizes if pixels < 10.99] == []


@pytest.mark.parametrize("name", ["usual", "many"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_text_stands_out_from_its_ground(
    browser: Browser, pages: dict[str, Path], name: str, scheme: str
) -> None:
    """A contrast of 4.5 or more (WCAG 2.1, 1.4.3), which is what small text needs."""
    with shown(browser, pages[name], WIDE, scheme) as tab:
        found = tab.evaluate(
            """() => {
                // Any colour that CSS has, as what is drawn of it: red, green, blue, opacity.
                const context = document.createElement('canvas').getContext('2d',
                    {willReadFrequently: true});
                const known = new Map();
                const rgba = colour => {
                    if (!known.has(colour)) {
                        context.clearRect(0, 0, 1, 1);
                        context.fillStyle = colour;
                        context.fillRect(0, 0, 1, 1);
                        const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
                        known.set(colour, [r, g, b, a / 255]);
                    }
                    return known.get(colour);
                };
                const over = (top, below) =>
                    [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
                const ground = e => {
                    const colour = rgba(getComputedStyle(e).backgroundColor);
                    return colour[3] == 1 ? colour : over(colour, ground(e.parentElement));
                };
                const light = colour => {
                    const [r, g, b] = colour.map(v => v / 255).map(
                        v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
                };
                const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
                const found = [];
                while (walker.nextNode()) {
                    const node = walker.currentNode, e = node.parentElement;
                    const text = node.data.trim();
                    if (!text || e.matches('svg title')) continue;
                    const style = getComputedStyle(e), below = ground(e);
                    const ink = rgba(e instanceof SVGElement ? style.fill : style.color);
                    const [a, b] = [light(over(ink, below)), light(below)].sort((x, y) => y - x);
                    found.push([(a + 0.05) / (b + 0.05), text]);
                }
                return found;
            }"""
        )
        paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert len(found) > 300
    assert [(text, contrast) for contrast, text in found if contrast < 4.5] == []
    lightness = [int(part) for part in paper.removeprefix("rgb(").removesuffix(")").split(",")]
    assert (np.mean(lightness) > 128) == (scheme == "light")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_charts_are_drawn(
    browser: Browser, pages: dict[str, Path], size: tuple[int, int], scheme: str
) -> None:
    """Two lines of different colours in each, on the page's own ground."""
    with shown(browser, pages["usual"], size, scheme) as tab:
        for chart in tab.locator("#scores svg, #learning svg").all():
            pixels = tf.io.decode_png(chart.screenshot(), channels=3).numpy().astype(np.int32)
            redness = pixels[..., 0] - pixels[..., 2]
            assert (redness > 60).sum() > 100 and (redness < -60).sum() > 100


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_a_large_confusion_matrix_scrolls_beside_its_names(
    browser: Browser, pages: dict[str, Path], size: tuple[int, int]
) -> None:
    with shown(browser, pages["many"], size) as tab:
        tab.locator(".scroll").scroll_into_view_if_needed()
        before, after = tab.evaluate(
            """() => {
                const scroll = document.querySelector('.scroll');
                const last = '.matrix tbody tr:last-child';
                const boxes = () => [scroll, ...[`${last} th`, `${last} td:last-child`,
                    '.matrix thead th:last-child', '.matrix .corner'].map(
                        selector => document.querySelector(selector))].map(e => {
                            const {left, top, right, bottom} = e.getBoundingClientRect();
                            return {left, top, right, bottom};
                        });
                const before = boxes();
                scroll.scrollTo(1e6, 1e6);
                return [before, boxes()];
            }"""
        )
    # Neither the last row nor the last column was in sight at first.
    assert before[2]["right"] > before[0]["right"] and before[2]["bottom"] > before[0]["bottom"]
    frame, row_name, cell, column_name, corner = after
    assert cell["right"] <= frame["right"] and cell["bottom"] <= frame["bottom"]
    assert row_name["left"] == pytest.approx(frame["left"], abs=1.5) == corner["left"]
    assert column_name["top"] == pytest.approx(frame["top"], abs=1.5) == corner["top"]
    assert row_name["right"] < cell["left"] and column_name["bottom"] < cell["top"]
    # The names leave more than half of the frame to the cells.
    assert corner["right"] - frame["left"] < (frame["right"] - frame["left"]) / 2


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_a_click_selects_the_whole_command(
    browser: Browser, pages: dict[str, Path], size: tuple[int, int]
) -> None:
    with shown(browser, pages["many"], size) as tab:
        tab.locator("#command").click()
        selected = tab.evaluate("getSelection().toString()")
    assert selected.startswith("train.py  --data_dir='my  sounds' --extractor=https://")
    assert selected.rstrip("\n").endswith("x" * 150) and "\n" not in selected.rstrip("\n")
