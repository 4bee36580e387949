"""The report as a reader gets it: one file, a section for all there is and for nothing else, no markup from data."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from tfmap import report, runs, scores
from tfmap.errors import InputError

EVERY = ["artefacts", "card", "verify", "training", "split-val", "split-test"]
EVERY += ["samples", "data", "config", "versions", "files"]
LOADING = {"src", "href", "srcset", "data", "action", "poster", "background", "formaction", "xlink:href"}


class Page(HTMLParser):
    """What a browser would load, the ids, the open tags and the text of a page."""

    VOID = {"meta", "img", "link", "br", "hr", "input"}

    def __init__(self, text):
        super().__init__()
        self.loads, self.tags, self.sections, self.open, self.texts, self.ids = [], [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for key, value in attributes:
            if key in LOADING:
                self.loads.append(value)
            if key == "id":
                self.ids.append(value)
                self.sections += [value] if tag == "section" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def sections(run):
    return Page(report.report(run).read_text(encoding="utf-8")).sections


def test_the_report_of_a_full_run_has_every_section(html):
    page = Page(html)
    assert page.sections == EVERY
    assert page.open == []


def test_the_report_loads_nothing_from_anywhere(html):
    page = Page(html)
    assert page.loads
    assert [url for url in page.loads if not url.startswith(("data:image/", "#"))] == []
    assert {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags) == set()
    assert "@import" not in html
    assert "url(" not in html
    assert "http://" not in html
    assert "https://" not in html


def test_the_pictures_inside_load_nothing_either(html):
    plots = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", html)
    assert len(plots) == 3 + 2 * 4
    for plot in plots:
        text = base64.b64decode(plot).decode()
        assert "<script" not in text
        assert all(link.startswith(("#", "data:")) for link in re.findall(r'href="([^"]*)"', text))


def test_every_link_of_the_contents_leads_somewhere(html):
    page = Page(html)
    assert [url[1:] for url in page.loads if url.startswith("#")] == page.sections
    assert len(page.ids) == len(set(page.ids))


def test_the_report_is_small(html):
    assert len(html) < 1_500_000


def test_the_same_run_gives_the_same_report(bare):
    first = report.report(bare).read_text()
    assert report.report(bare).read_text() == first


def test_the_headline_shows_what_was_measured(html, full):
    verify, metrics = full.read_json("verify.json"), full.read_json("metrics.json")
    text = " ".join(" ".join(Page(html).texts).split())
    assert f"{metrics['splits']['val']['accuracy']:.1%}" in text
    assert f"{verify['file_metrics']['accuracy']:.1%}" in text
    assert f"{verify['latency_ms']['1']['file']['median']:.2f} ms" in text
    assert f"{full.file('model.tflite').stat().st_size / 1e3:.1f} kB" in text
    assert "LiteRT, int8" in text
    assert "uint8 in, uint8 out" in text


def test_a_run_that_was_only_trained_has_a_report(full, tmp_path):
    run = runs.Run(tmp_path / "trained")
    run.path.mkdir()
    for name in ("config.yaml", "model.keras", "history.csv", "data.json", "versions.json", "skipped.csv"):
        shutil.copy(full.file(name), run.file(name))
    expected = [name for name in EVERY if name not in ("verify", "split-val", "split-test")]
    assert sections(run) == expected
    assert "not exported yet" in run.file("report.html").read_text()


# files that go -> sections that go with them
SECTIONS = {
    ("history.csv",): ["training"],
    ("metrics.json",): ["split-val", "split-test"],
    ("verify.json",): ["verify"],
    ("data.json", "versions.json"): ["data", "versions"],
    ("predictions.npz", "mistakes.json", "model.tflite"): [],
}


@pytest.mark.parametrize("names", SECTIONS)
def test_a_section_is_there_only_if_its_file_is(bare, names):
    for name in names:
        bare.file(name).unlink()
    assert sections(bare) == [section for section in EVERY if section not in SECTIONS[names]]


def test_compression_shows_its_settings_curves_and_zeros(bare):
    history = [
        {"step": "prune", "epoch": 1, "loss": 0.5, "val_loss": 0.6, "seconds": 1.5},
        {"step": "qat", "epoch": 1, "loss": 0.4, "val_loss": 0.5, "seconds": 1.5},
    ]
    found = {
        "weights": 100,
        "sparsity": {"<stem>": 0.5},
        "recipe": "prune(0.5)|qat",
        "history": history,
        "scores": {"accuracy": 0.6543},
    }
    bare.write_json("compress.json", found)
    bare.file("compressed.keras").write_bytes(bare.file("model.keras").read_bytes())
    assert sections(bare) == [*EVERY[:3], "compress", *EVERY[3:]]
    text = bare.file("report.html").read_text()
    for expected in ("prune(0.5)|qat", "Keras, compressed", '&lt;stem&gt;</th><td class="n">50.0%', "65.4%"):
        assert expected in text
    assert text.count("<b>Loss.</b>") == 2


def test_a_run_whose_data_has_moved_says_so(bare):
    text = report.report(bare).read_text()
    assert "The data cannot be read here any more, so the report shows no pictures" in text
    assert "no picture</div>" in text
    assert "data:image/jpeg" not in text


def test_names_from_the_data_are_shown_not_run(bare):
    evil = "<b>x</b>&\"'$a_b$"
    inside_json = evil.replace('"', '\\"')
    for name in ("metrics.json", "mistakes.json", "data.json", "verify.json"):
        bare.write_text(name, bare.file(name).read_text().replace('"glass"', f'"{inside_json}"'))
    text = report.report(bare).read_text()
    assert "<b>x" not in text
    assert "&lt;b&gt;x&lt;/b&gt;&amp;&#34;&#39;$a_b$" in text
    plots = [base64.b64decode(plot).decode() for plot in re.findall(r"svg\+xml;base64,([A-Za-z0-9+/=]+)", text)]
    assert any("&lt;b&gt;x&lt;/b&gt;&amp;" in plot for plot in plots)
    assert not any("<b>x" in plot for plot in plots)
    assert Page(text).open == []


def test_several_labels_a_picture_have_no_confusion_matrix(bare):
    with np.load(bare.file("predictions.npz")) as arrays:
        probabilities, ids = arrays["val_probabilities"], arrays["val_ids"]
        truths = (probabilities > 0.4).astype("float32")
        truths[:3] = 1
    classes = bare.read_json("data.json")["classes"]
    bare.file("verify.json").unlink()
    np.savez(bare.file("predictions.npz"), val_probabilities=probabilities, val_truths=truths, val_ids=ids)
    metrics = scores.multi_label(probabilities, truths, classes)
    bare.write_json("metrics.json", {"model": "model.keras", "classes": classes, "splits": {"val": metrics}})
    bare.write_json("mistakes.json", {"val": scores.worst(probabilities, truths, ids, classes)})
    text = report.report(bare).read_text()
    assert "Confusion matrix" not in text
    assert "every label right" in text
    assert "validation map" in text
    assert f"{len(scores.worst(probabilities, truths, ids, classes))} of " in text


def test_findings_and_skipped_files_are_listed_up_to_a_limit(bare):
    data = bare.read_json("data.json")
    data["findings"] = {"label_conflicts": [f"a{i}.jpg stands under two labels" for i in range(40)]}
    data["skipped"] = [["broken.jpg", "not a picture"]]
    bare.write_json("data.json", data)
    text = report.report(bare).read_text()
    assert "a29.jpg stands under two labels" in text
    assert "a30.jpg stands under two labels" not in text
    assert "… and 10 more in data.json" in text
    assert "broken.jpg" in text
    assert "Findings in the data: label conflicts (40)." in text


def test_a_failed_verdict_is_loud(bare):
    found = bare.read_json("verify.json")
    bare.write_json("verify.json", {**found, "passed": False, "failures": ["accuracy falls by 3.00 points."]})
    text = report.report(bare).read_text()
    assert '<span class="no">Failed.</span>' in text
    assert "accuracy falls by 3.00 points." in text


def test_no_such_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run folder .*gone does not exist\. Make one: python -m tfmap\.train"):
        report.report(tmp_path / "gone")


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match=r"is not a run folder: it holds no config\.yaml"):
        report.report(tmp_path)


def test_a_run_without_a_model_names_the_stage(bare):
    bare.file("model.keras").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"model\.keras is missing\. Run this stage first: python -m tfmap\.train"
    ):
        report.report(bare)


def test_a_broken_file_names_itself_and_its_stage(bare):
    bare.file("metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json is not valid JSON .* again: python -m tfmap\.evaluate"):
        report.report(bare)


def test_the_command_says_where_the_report_is(bare, capsys):
    report.command({}, bare)
    assert re.fullmatch(r".*report\.html  0\.\d MB\n", capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [390, 1200])
def test_chromium_shows_the_report_without_a_network(html, full, tmp_path, width):
    picture = tmp_path / "page.png"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    flags = ["--no-first-run", f"--user-data-dir={tmp_path}/profile", f"--window-size={width},9000"]
    page = f"file://{full.file('report.html').resolve()}"
    subprocess.run([*command, *flags, f"--screenshot={picture}", page], check=True, capture_output=True, timeout=120)
    from PIL import Image

    with Image.open(picture) as image:
        assert image.width == width
        assert len(image.convert("RGB").getcolors(1 << 24)) > 5000  # photographs and plots, not a blank page


def test_what_verify_found_inside_the_file_is_shown(html, full):
    verify, text = full.read_json("verify.json"), " ".join(" ".join(Page(html).texts).split())
    assert "Layers that lose most" in text
    assert f"{verify['layers']['worst'][0]['sqnr_db']:.1f}" in text
    assert "Where the bytes are" in text
    assert "working memory" in text
    assert "Found in the file" not in text  # nothing was


def test_findings_are_listed(bare):
    bare.write_json("verify.json", {**bare.read_json("verify.json"), "findings": ["CONV_2D a: <b>zero</b> channels."]})
    text = report.report(bare).read_text()
    assert "Found in the file" in text
    assert "CONV_2D a: &lt;b&gt;zero&lt;/b&gt; channels." in text


def test_numbers_of_another_file_are_not_shown_beside_this_one(bare):
    bare.write_bytes("model.tflite", bare.file("model.tflite").read_bytes() + b"\0")
    assert "not verified yet" in report.report(bare).read_text()


def test_a_candidate_that_did_not_pass_is_shown_as_one(bare):
    bare.candidate().write_bytes("model.tflite", bare.file("model.tflite").read_bytes())
    bare.file("model.tflite").unlink()
    text = report.report(bare).read_text()
    assert "candidate/model.tflite" in text
    assert "did not pass, not published" in text


def test_a_verdict_of_an_older_tfmap_is_still_shown(bare):
    found = bare.read_json("verify.json")
    for key in ("findings", "layers", "kernels", "sizes", "runtimes", "memory", "clients", "mode"):
        del found[key]
    del found["file"]["sha256"]
    bare.write_json("verify.json", found)
    text = report.report(bare).read_text()
    assert "The file against the model" in text
    assert "LiteRT, int8" in text
