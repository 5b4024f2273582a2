"""The page of a run, read as HTML: what is in it, and that nothing else is needed."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sound_pipeline.report import page
from sound_pipeline.report.excerpts import Excerpt
from tests.report import example_runs
from tests.report.html_tree import Element, read

DASH = "\N{EN DASH}"
MARKUP = "<script>alert(1)</script>"
QUOTES = "a & b \"c\" 'd' {{ 7 * 7 }}"


def written(
    directory: Path,
    figures: Mapping[str, Any] | None = None,
    curves: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    mistakes: Sequence[Excerpt] = (),
    command: str = example_runs.COMMAND,
    versions: Mapping[str, str] = example_runs.VERSIONS,
) -> Element:
    """A page from made-up results, read again."""
    page.write_page(
        directory / "report.html",
        example_runs.results(figures, curves, command, versions),
        mistakes,
    )
    return read((directory / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def everything(tmp_path: Path) -> Element:
    """A page that has all its sections."""
    figures = example_runs.figures()
    figures |= {"split": "random split (leaky)", "leaked_fraction": 0.973}
    figures["unknown"] = {"classes": ["siren"], "clips": 40, "auroc": 0.81}
    figures["unreadable"] = {"sounds/broken.wav": "it is empty"}
    return written(tmp_path, figures, mistakes=[example_runs.excerpt()])


def cells(row: Element) -> list[str]:
    return [element.text for element in row if element.tag in ("th", "td")]


def test_the_page_is_the_only_file(tmp_path: Path) -> None:
    written(tmp_path, mistakes=[example_runs.excerpt()])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_nothing_is_loaded_and_nothing_runs(everything: Element) -> None:
    assert not everything.all("script")
    attributes = [item for element in everything for item in element.attributes.items()]
    assert not [name for name, _ in attributes if name.startswith("on")]
    loaded = [value for name, value in attributes if name in ("src", "href")]
    assert len(loaded) > 5 and all(value.startswith(("data:", "#")) for value in loaded)
    assert not {name for name, _ in attributes} & {
        "srcset",
        "poster",
        "data",
        "action",
        "xlink:href",
    }
    (style,) = everything.all("style")
    inline = [value for name, value in attributes if name == "style"]
    assert not re.search(r"url\(|@import|http", " ".join([style.text, *inline]))
    (policy,) = everything.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"].startswith("default-src 'none'")


def test_the_page_can_be_read_without_seeing_it(everything: Element) -> None:
    (html,) = everything.all("html")
    assert html.attributes["lang"] == "en"
    (head,) = everything.all("head")
    assert head.all("title")[0].text.startswith("esc50")
    levels = [int(element.tag[1]) for element in everything if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert max(np.diff(levels)) <= 1
    identifiers = [e.attributes["id"] for e in everything if "id" in e.attributes]
    assert len(identifiers) == len(set(identifiers))
    for element in everything:
        labelled = element.attributes.get("aria-labelledby")
        assert labelled is None or labelled in identifiers
        href = element.attributes.get("href", "")
        assert not href.startswith("#") or href[1:] in identifiers
        assert element.tag != "th" or element.attributes["scope"] in ("row", "col")
        assert element.tag != "img" or len(element.attributes["alt"]) > 5
        assert element.tag not in ("audio", "svg") or len(element.attributes["aria-label"]) > 5
    for table in everything.all("table"):
        assert table.all("th", scope="col") and table.all("th", scope="row")


def test_it_says_its_encoding_first(tmp_path: Path) -> None:
    figures = example_runs.figures(("größer", "雨"))
    root = written(tmp_path, figures)
    start = (tmp_path / "report.html").read_bytes()[:1024]
    assert start.startswith(b"<!DOCTYPE html>") and b'<meta charset="utf-8">' in start
    assert {"größer", "雨"} <= {cells(row)[0].split()[0] for row in root.at("classes").all("tr")}


def test_headline_figures(tmp_path: Path) -> None:
    figures = example_runs.figures()
    figures |= {"accuracy": 0.93049, "accuracy_interval": [0.9, 0.9512], "macro_f1": 0.92951}
    figures |= {"per_fold": {"fold 1": 0.925, "fold 2": 0.9375}, "top_3_accuracy": 0.9925}
    # All recordings of the data set: those that were tested are fewer in a holdout split.
    figures["clips"] = 2000
    root = written(tmp_path, figures)
    assert root.at("accuracy-figure").text == "93.0 %"
    assert root.at("interval").text == "90.0 % to 95.1 %"
    assert root.at("macro-f1").text == "0.930"
    assert root.at("top-3").text == "99.2 %"
    assert root.at("split").text.startswith("400 recordings of 10 classes")
    assert [cells(row) for row in root.at("folds").all("tr")[1:]] == [
        ["fold 1", "92.5 %"],
        ["fold 2", "93.8 %"],
    ]
    assert root.at("folds").all("span", style="--v:0.9250")


def test_three_classes_have_no_top_three(tmp_path: Path) -> None:
    assert not written(tmp_path, example_runs.figures(("a", "b", "c"))).has("top-3")


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("folds", "the data set's own folds"),
        ("grouped", "keep every source recording whole"),
        ("holdout", "one part held out"),
        ("own parts", "the part that the data set has for it"),
        ("random split (leaky)", "random folds"),
        ("folds (leaky)", "the data set's own folds"),
        ("holdout (leaky)", "one part held out"),
    ],
)
def test_the_warning_is_there_exactly_for_leaky_splits(
    tmp_path: Path, split: str, words: str
) -> None:
    figures = example_runs.figures()
    figures["split"] = split
    leaky = "leaky" in split
    figures["leaked_fraction"] = 0.9731 if leaky else 0.0
    root = written(tmp_path, figures)
    assert words in root.at("split").text
    assert root.has("leak-warning") == leaky == ("leaky" in root.all("title")[0].text)
    if leaky:
        warning = root.at("leak-warning").text
        assert "too good" in warning and "97.3 % of the tested recordings share" in warning
        # Whoever reads the figure has read the warning.
        order = [e.attributes.get("id") for e in root]
        assert order.index("leak-warning") < order.index("headline")


def test_a_random_split_without_known_sources_is_doubtful_too(tmp_path: Path) -> None:
    figures = example_runs.figures() | {"split": "random split (leaky)", "leaked_fraction": 0.0}
    warning = written(tmp_path, figures).at("leak-warning").text
    assert "may be too good" in warning and "%" not in warning


def test_recordings_that_are_perhaps_on_both_sides_are_listed(tmp_path: Path) -> None:
    pair = {"tested": "a/<1>.wav", "learned_from": "b/2.wav", "cosine": 0.9731}
    figures = example_runs.figures()
    assert not written(tmp_path, figures | {"perhaps_the_same": []}).has("perhaps-the-same")
    assert not written(tmp_path, figures | {"perhaps_the_same": None}).has("perhaps-the-same")
    listed = written(tmp_path, figures | {"perhaps_the_same": [pair] * 60}).at("perhaps-the-same")
    assert "60 pairs of recordings are perhaps the same" in listed.text
    assert "a/<1>.wav and b/2.wav (cosine 0.973)" in listed.text
    assert len(listed.all("li")) == 50 and "metrics.json has all" in listed.text


def test_classes_come_worst_first(tmp_path: Path) -> None:
    figures = example_runs.figures()
    figures["per_class"]["rain"] = {
        "clips": 1,
        "precision": 0.125,
        "recall": 0.2,
        "f1": 0.154,
        "average_precision": None,
    }
    rows = [cells(row) for row in written(tmp_path, figures).at("classes").all("tr")[1:]]
    assert rows[0] == ["rain 1 clip", "0.15", "0.12", "0.20", DASH]
    assert len(rows) == 10
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    shown = {row[0].split()[0]: row[1:] for row in rows[1:]}
    for name, values in shown.items():
        of_class = figures["per_class"][name]
        order = ("f1", "precision", "recall", "average_precision")
        assert values == [f"{of_class[key]:.2f}" for key in order]


@pytest.mark.parametrize("count", [2, 10, 50])
def test_the_confusion_matrix_is_a_table(tmp_path: Path, count: int) -> None:
    names = tuple(f"class_{number}" for number in range(count))
    figures = example_runs.figures(names, 0.7)
    (table,) = written(tmp_path, figures).at("confusions").all("table")
    header, *rows = [cells(row) for row in table.all("tr")]
    assert header[1:] == list(names) and [row[0] for row in rows] == list(names)
    assert [[int(cell or 0) for cell in row[1:]] for row in rows] == figures["confusion_matrix"]


def test_confusions_are_named_the_commonest_first(tmp_path: Path) -> None:
    figures = example_runs.figures(("a", "b", "c"))
    figures["confusion_matrix"] = [[7, 0, 3], [9, 30, 1], [0, 0, 40]]
    section = written(tmp_path, figures).at("confusions")
    listed = [" ".join(item.text.split()) for item in section.all("li")]
    assert listed == ["b called a 9 of 40", "a called c 3 of 10", "b called c 1 of 40"]
    titled = section.all("td", title="b, called a: 9 of 40")
    assert [cell.text for cell in titled] == ["9"]


def test_scores_and_their_calibration(tmp_path: Path) -> None:
    figures = example_runs.figures()
    figures["min_score"]["unknown_rejected"] = 0.6
    root = written(tmp_path, figures)
    assert root.at("error").text == root.at("calibration-error").text == "0.031"
    assert root.at("error-before").text == "0.083"
    assert root.at("min-score").text == "0.36"
    assert "Of 300 answers about validation recordings, 9 scored less" in root.at("scores").text
    assert (root.at("kept").text, root.at("accuracy-of-kept").text) == ("97.3 %", "95.4 %")
    assert root.at("unknown-rejected").text == "60.0 %"
    assert "answers below 0.34 were wrong more often" in root.at("wrong-below").text
    (table,) = root.at("scores").all("table")
    assert len(table.all("tr")) == 1 + 8 + 7
    assert cells(table.all("tr")[1]) == ["after", "0.30", "0.25", "3"]
    (chart,) = root.at("scores").all("svg")
    assert len(chart.all("circle", class_="after")) == 8
    assert len(chart.all("circle", class_="before")) == 7


def test_there_may_be_no_score_to_suggest(tmp_path: Path) -> None:
    figures = example_runs.figures() | {"wrong_below": 0.0}
    figures["min_score"] |= {"suggested": 0.0, "accuracy_of_kept": None}
    root = written(tmp_path, figures)
    assert root.at("min-score").text == "none"
    assert root.at("accuracy-of-kept").text == DASH
    assert "at no score wrong" in root.at("wrong-below").text


def test_unknown_classes_are_told_of_only_where_there_are_any(tmp_path: Path) -> None:
    figures = example_runs.figures()
    root = written(tmp_path, figures)
    assert not root.has("unknown") and "AUROC" not in root.text
    figures["unknown"] = {"classes": ["siren", "hand_saw"], "clips": 80, "auroc": 0.8123}
    root = written(tmp_path, figures)
    assert root.at("auroc").text == "0.812"
    assert "80 recordings of siren, hand_saw were" in root.at("scores").text


def test_learning_curves_are_drawn_fold_by_fold(tmp_path: Path) -> None:
    curves = {
        "fold 1": {"loss": [2.0, 1.0, 0.5], "validation_loss": [2.0, 0.75, 1.5]},
        "fold 2": {"loss": [1.5]},
    }
    section = written(tmp_path, curves=curves).at("learning")
    first, second = section.all("svg")
    (loss,), (validation,) = (
        first.all("polyline", class_="after"),
        first.all("polyline", class_="before"),
    )
    xs, ys = zip(
        *(map(float, p.split(",")) for p in loss.attributes["points"].split()), strict=True
    )
    assert np.diff(xs) == pytest.approx([xs[1] - xs[0]] * 2, abs=0.02)
    # Downwards in a drawing is more: the loss halves twice.
    assert ys[1] - ys[0] == pytest.approx(2 * (ys[2] - ys[1]), abs=0.02) and ys[0] < ys[1]
    (dot,) = first.all("circle", class_="before")
    lowest = f"{dot.attributes['cx']},{dot.attributes['cy']}"
    assert float(dot.attributes["cx"]) == xs[1]
    assert [float(v) for v in lowest.split(",")] == [
        float(v) for v in validation.attributes["points"].split()[1].split(",")
    ]
    captions = [caption.text for caption in section.all("figcaption")]
    assert captions == ["fold 1 lowest 0.75, epoch 2 of 3", "fold 2"]
    # One epoch makes no line, but a dot.
    assert second.all("circle", class_="after") and not second.all("circle", class_="before")


def test_mistakes_are_images_sounds_and_words(tmp_path: Path) -> None:
    mistakes = [
        example_runs.excerpt("sounds/x/1.wav", "dog", "rooster", 0.987),
        example_runs.excerpt("sounds/x/2.wav", "rain", "sea_waves", 0.5, seconds=0.5),
    ]
    section = written(tmp_path, mistakes=mistakes).at("mistakes")
    cards = section.all("li")
    assert len(cards) == 2
    for card, mistake, score in zip(cards, mistakes, ("0.99", "0.50"), strict=True):
        assert [word.text for word in card.all("dd")] == [mistake.label, mistake.predicted, score]
        (sound,), (image,) = card.all("audio"), card.all("img")
        assert "controls" in sound.attributes
        assert sound.attributes["src"].startswith("data:audio/flac;base64,")
        assert image.attributes["src"].startswith("data:image/png;base64,")
        (file,) = card.all("p", class_="file")
        assert file.text == Path(mistake.path).name and file.attributes["title"] == mistake.path
    assert not section.has("no-mistakes")


def test_no_mistakes_are_said_to_be_none(tmp_path: Path) -> None:
    root = written(tmp_path, example_runs.figures(("bat", "no_bat"), right=1.0))
    assert root.at("no-mistakes").text.startswith("None")
    assert "No class was taken for another" in root.at("confusions").text
    assert not root.all("audio") and not root.at("confusions").all("li")
    assert root.at("accuracy-figure").text == "100.0 %"


def test_sounds_stop_where_the_page_has_no_more_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet, loud = example_runs.excerpt(seconds=1), example_runs.excerpt("far/away.wav", seconds=9)
    size = len(page.sound_uri(quiet.waveform, quiet.sample_rate_hz))
    monkeypatch.setattr(page, "SOUND_BUDGET_BYTES", 3 * size)
    root = written(tmp_path, mistakes=[quiet, quiet, loud, quiet])
    heard = [bool(card.all("audio")) for card in root.at("mistakes").all("li")]
    assert heard == [True, True, False, False]
    silent = root.at("mistakes").all("li")[2]
    assert (
        silent.all("img") and "sound is left out: the page has room for the first 2" in silent.text
    )
    assert silent.all("p", class_="file")[0].text == "far/away.wav"


def test_a_page_full_of_noise_is_under_fifteen_megabytes(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    noise = generator.uniform(-1, 1, 5 * 44100).astype(np.float32)
    mistakes = [
        dataclasses.replace(example_runs.excerpt(), waveform=noise, sample_rate_hz=44100)
    ] * 24
    root = written(tmp_path, mistakes=mistakes)
    assert 10 <= len(root.all("audio")) < 24
    assert 5e6 < (tmp_path / "report.html").stat().st_size < 15e6


def test_unreadable_recordings_are_named_with_their_reasons(tmp_path: Path) -> None:
    figures = example_runs.figures()
    assert not written(tmp_path, figures).has("unreadable")
    figures["unreadable"] = {"a/b.wav": "it is empty", "c.ogg": "it ends early"}
    rows = [cells(row) for row in written(tmp_path, figures).at("unreadable").all("tr")]
    assert rows == [["File", "Why"], ["a/b.wav", "it is empty"], ["c.ogg", "it ends early"]]


def names_in(values: dict[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield from names_in(value) if isinstance(value, dict) else (name,)


def test_the_whole_configuration_is_there(tmp_path: Path) -> None:
    root = written(tmp_path)
    assert root.at("command").text == example_runs.COMMAND
    rows = [tuple(cells(row)) for row in root.at("configuration").all("tr")]
    assert set(example_runs.VERSIONS.items()) <= set(rows)
    config = dataclasses.asdict(example_runs.config())
    names = list(names_in(config))
    shown = [
        name for name, _ in rows if name not in ("Setting", "Software", *example_runs.VERSIONS)
    ]
    assert sorted(shown) == sorted(names)
    expected = {
        ("frame_seconds", "0.0928798"),
        ("l2", "10"),
        ("test_folds", "none"),
        ("subset", "esc10"),
        ("extractor", "gabor"),
        ("label_smoothing", "0"),
    }
    assert expected <= set(rows)


@pytest.mark.parametrize("name", [MARKUP, QUOTES])
def test_names_are_text_whatever_they_are(tmp_path: Path, name: str) -> None:
    """Class, file, fold and all other names change no element of the page but its text."""

    def shape(name: str) -> tuple[Element, list[tuple[str, list[str]]]]:
        figures = example_runs.figures((name, "rain"), 0.8)
        figures |= {"data_set": name, "extractor": name, "per_fold": {name: 0.5}}
        figures["unreadable"] = {name: name}
        figures["unknown"] = {"classes": [name], "clips": 1, "auroc": 0.5}
        figures["min_score"]["why"] = name
        figures["calibration"]["temperatures"] = {name: 1.0}
        root = written(
            tmp_path,
            figures,
            {name: {"loss": [1.0]}},
            [example_runs.excerpt(f"sounds:{name}", name, name)],
            command="train",
            versions={name: name},
        )
        return root, [(e.tag, sorted(e.attributes)) for e in root if e.tag != "wbr"]

    root, found = shape(name)
    assert found == shape("plain")[1]
    (heading,) = root.all("h1")
    assert heading.text == name
    words = [word.text for word in root.at("mistakes").all("dd")]
    assert words[:2] == [name, name]
    assert name in [cells(row)[0] for row in root.at("folds").all("tr")]
    assert root.at("mistakes").all("p", class_="file", title=f"sounds:{name}")
    assert [name, name] in [cells(row) for row in root.at("unreadable").all("tr")]
    assert "49" not in heading.text


def test_no_name_shows_the_rest_of_the_page_in_another_order(tmp_path: Path) -> None:
    name = "gpj\u202e.wav"
    figures = example_runs.figures((name, "rain"), 0.8) | {"data_set": name}
    figures["unreadable"] = {name: name}
    root = written(
        tmp_path, figures, {name: {"loss": [1.0]}}, [example_runs.excerpt(name, name, name)]
    )
    assert "\u202e" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert root.at("mistakes").all("p", class_="file", title="gpj\\u202e.wav")


def test_a_command_is_shown_as_it_was(tmp_path: Path) -> None:
    command = f"train.py --data_dir='my  sounds' {MARKUP} {QUOTES}"
    assert written(tmp_path, command=command).at("command").text == command


def test_the_page_needs_no_tensorflow() -> None:
    program = "import sys, sound_pipeline.report.page; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
