"""The page in a real browser, served by the server that comes with it, against the golden vectors."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

import tfmap
from tests.export.handoff.chromium import opened
from tests.export.handoff.test_boxes_and_masks import KINDS, untrained
from tfmap import calibrate
from tfmap.export import golden, handoff

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("chromium") and shutil.which("npm")), reason="needs chromium and npm"),
]


@contextmanager
def served(kit):
    """The address of the kit's page."""
    command = [sys.executable, str(kit / "web" / "serve.py"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def installed(kit, tmp_path_factory):
    """Folder node_modules with LiteRT.js, as `npm install` makes it of the kit's package.json."""
    folder = tmp_path_factory.mktemp("npm")
    shutil.copy(kit / "web" / "package.json", folder)
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"npm has no registry to install from: {done.stderr[-200:]}")
    return folder / "node_modules"


@pytest.fixture
def page_of(installed, make_kit, tmp_path):
    """File with metadata -> its kit, with LiteRT.js installed."""

    def make(file):
        kit = make_kit(file)
        shutil.copytree(installed, kit / "web" / "node_modules")
        return kit

    return make


async def checked(url):
    """What the page says of its golden vectors."""
    async with opened(url) as page:
        await page.until("document.body?.dataset.state !== undefined")
        assert await page.value("document.body.dataset.state") == "ready", await page.value("document.body.innerText")
        await page.value("document.getElementById('golden').click()")
        await page.until("document.body.dataset.golden !== undefined || document.body.dataset.state === 'failed'")
        text = await page.value("document.getElementById('status').textContent")
        assert await page.value("document.body.dataset.state") == "ready", text
        return text, json.loads(await page.value("document.body.dataset.golden"))


@pytest.mark.parametrize(
    "name",
    [
        *("float32", "float16", "dynamic", "int8", "float border", "int8, float border", "grey", "odd labels"),
        *("int16x8", "int4", "several labels"),
    ],
)
def test_the_browser_gives_the_golden_answers(files, page_of, name):
    with served(page_of(files[name])) as url:
        text, found = asyncio.run(checked(url))
    assert text.startswith("10 of 10 vectors agree")
    assert (found["within"], found["vectors"]) == (10, 10)


BOLD = {
    "detection": 400_000,
    "segmentation": 40,
}  # factors of the last kernels: of boxes some reach a score that is shown


@pytest.fixture(scope="module", params=BOLD)
def located(request, installed, tmp_path_factory):
    """A task's name and the kit of an untrained network of it, with LiteRT.js installed."""
    task, kit = request.param, tmp_path_factory.mktemp(request.param) / "handoff"
    file, source = untrained(task, BOLD[task]), tfmap.load("sample:cells").split("val")
    handoff.write(kit, file, golden.vectors(file, source, classes=KINDS, task=task, count=3))
    shutil.copytree(installed, kit / "web" / "node_modules")
    return task, kit


def test_the_browser_gives_the_golden_boxes_and_masks(located):
    with served(located[1]) as url:
        text, found = asyncio.run(checked(url))
    assert text.startswith("3 of 3 vectors agree")
    assert found["vectors"] == 3


def test_other_boxes_and_masks_are_noticed(located, tmp_path):
    task, kit = located
    other = tmp_path / "handoff"
    shutil.copytree(kit, other)
    (other / "model.tflite").write_bytes(untrained(task, -BOLD[task]))
    with served(other) as url:
        text, _ = asyncio.run(checked(url))
    assert not text.startswith("3 of 3 vectors agree")


def test_boxes_and_masks_are_drawn_over_the_picture(located, tmp_path):
    task, kit = located

    async def drawn(url):
        async with opened(url) as page:
            await page.until("document.body?.dataset.state === 'ready'")
            await page.choose("#file", kit / "golden" / "00.png")
            await page.until("document.getElementById('status').textContent === '00.png'")
            await page.screenshot(tmp_path / "page.png")
            size = await page.value("[document.getElementById('found').width, document.getElementById('found').height]")
            return size, await page.value(DRAWN), await page.value(LISTED)

    with served(kit) as url:
        size, share, lines = asyncio.run(drawn(url))
    with np.load(kit / "golden.npz") as vectors:
        assert size == list(vectors["images"].shape[2:0:-1])
        if task == "segmentation":
            mask = vectors["outputs"][0].argmax(-1)
            assert share == pytest.approx((mask > 0).mean(), abs=0.01)  # the first class is left as it is
            named = [KINDS[k] for k in np.argsort(-np.bincount(mask.ravel(), minlength=3)) if (mask == k).any()]
        else:
            kept = vectors["outputs_classes"][0][vectors["outputs_scores"][0] >= 0.3]
            assert share > 0
            named = [kind for k, kind in enumerate(KINDS) if (kept == k).any()]
    assert lines == named


# The share of the overlay's pixels that are painted, and the names in the list below.
DRAWN = """(() => {
  const canvas = document.getElementById('found');
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, k) => k % 4 === 3 && value > 0).length * 4 / data.length;
})()"""
LISTED = "[...document.querySelectorAll('#result li')].map(line => (line.querySelector('span') ?? line).textContent)"


def test_another_file_is_noticed(files, page_of):
    kit = page_of(files["int8"])
    golden = json.loads((kit / "golden" / "golden.json").read_text())
    for row in golden["vectors"]:
        row["outputs"] = row["outputs"][1:] + row["outputs"][:1]
    (kit / "golden" / "golden.json").write_text(json.dumps(golden))
    with served(kit) as url:
        text, _ = asyncio.run(checked(url))
    assert text.startswith("0 of 10 vectors agree")


def test_a_picture_is_named_as_python_names_it(whole_file, page_of, tmp_path):
    kit = page_of(whole_file)
    golden = json.loads((kit / "golden" / "golden.json").read_text())

    async def named(url):
        async with opened(url) as page:
            await page.until("document.body?.dataset.state === 'ready'")
            found = []
            for row in golden["vectors"]:
                await page.value("document.getElementById('status').textContent = ''")
                await page.choose("#file", kit / "golden" / row["image"])
                await page.until(f"document.getElementById('status').textContent === {row['image']!r}")
                found.append(await page.value("document.body.dataset.best"))
            await page.screenshot(tmp_path / "page.png")
            return found, await page.value("document.querySelector('#result li span:last-child').textContent")

    with served(kit) as url:
        found, score = asyncio.run(named(url))
    own = calibrate.within([row["scores"] for row in golden["vectors"]], 1 / 256)
    shares = calibrate.scaled(own, 1.5)  # the file's temperature
    assert found == [row["label"] for row in golden["vectors"]]
    assert float(score) == pytest.approx(shares[-1].max(), abs=6e-4)
    assert np.asarray(Image.open(tmp_path / "page.png").convert("L")).std() > 5  # something is drawn


SEEN = """(async () => {
  const api = await import('./classifier.js');
  const one = new api.Classifier(null); // LiteRT.js loads once, and the page has
  one.outputs = async () => [[]];
  const seen = async color => {
    const canvas = new OffscreenCanvas(480, 480), context = canvas.getContext('2d');
    context.fillStyle = color;
    context.fillRect(0, 0, 480, 480);
    await one.scores(canvas);
    return Array.from(one.context.getImageData(24, 24, 1, 1).data);
  };
  return [await seen('rgb(255 0 0)'), await seen('rgb(0 0 0 / 0)'), await seen('rgb(0 255 0 / 0.5)')];
})()"""


def test_a_transparent_picture_is_not_laid_over_the_one_before(whole_file, page_of):
    async def seen(url):
        async with opened(url) as page:
            await page.until("document.body?.dataset.state === 'ready'")
            return await page.value(SEEN)

    with served(page_of(whole_file)) as url:
        red, nothing, green = asyncio.run(seen(url))
    assert red == [255, 0, 0, 255]
    assert nothing[:3] == [0, 0, 0]
    assert green[:3] == [0, 255, 0]  # as training, which drops transparency


STRIPES = """(async () => {
  const api = await import('./classifier.js');
  const one = new api.Classifier(null);
  one.outputs = async () => [[]];
  const canvas = new OffscreenCanvas(1201, 1201), context = canvas.getContext('2d');
  context.fillStyle = 'white';
  context.fillRect(0, 0, 1201, 1201);
  context.fillStyle = 'black';
  for (let x = 0; x < 1201; x += 2) context.fillRect(x, 0, 1, 1201);
  await one.scores(canvas);
  return Array.from(one.context.getImageData(0, 24, 48, 1).data);
})()"""


def test_a_large_picture_is_averaged_not_sampled(whole_file, page_of):
    async def seen(url):
        async with opened(url) as page:
            await page.until("document.body?.dataset.state === 'ready'")
            return await page.value(STRIPES)

    with served(page_of(whole_file)) as url:
        row = asyncio.run(seen(url))
    assert np.ptp(row[::4]) < 10, row  # sampled, stripes of one pixel are 0 here and 255 there


DROP = """(async () => {
  const blob = await (await fetch('../golden/04.png')).blob(), data = new DataTransfer();
  data.items.add(new File([blob], 'dropped.png', {type: 'image/png'}));
  document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
})()"""


def test_a_dropped_picture_is_named(whole_file, page_of):
    kit = page_of(whole_file)

    async def dropped(url):
        async with opened(url) as page:
            await page.until("document.body?.dataset.state === 'ready'")
            await page.value(DROP)
            await page.until("document.getElementById('status').textContent === 'dropped.png'")
            return await page.value("document.body.dataset.best"), await page.value("document.body.dataset.shows")

    with served(kit) as url:
        found = asyncio.run(dropped(url))
    golden = json.loads((kit / "golden" / "golden.json").read_text())
    assert found == (golden["vectors"][4]["label"], "picture")


def test_the_camera_runs_and_stops(whole_file, page_of):
    async def filmed(url):
        async with opened(url) as page:
            await page.until("document.body?.dataset.state === 'ready'")
            await page.value("document.getElementById('camera').click()")
            await page.until("document.body.dataset.shows === 'video'")
            await page.until("document.getElementById('time').textContent !== ''")
            await page.value("document.getElementById('camera').click()")
            await page.until("document.getElementById('camera').textContent === 'Camera'")
            return await page.value("document.body.dataset.shows"), await page.value("document.body.dataset.state")

    with served(page_of(whole_file)) as url:
        assert asyncio.run(filmed(url)) == ("", "ready")


def test_a_file_that_is_no_picture(whole_file, page_of):
    kit = page_of(whole_file)

    async def refused(url):
        async with opened(url) as page:
            await page.until("document.body?.dataset.state === 'ready'")
            await page.choose("#file", kit / "README.md")
            await page.until("document.getElementById('status').className === 'bad'")
            return await page.value("document.getElementById('status').textContent")

    with served(kit) as url:
        assert asyncio.run(refused(url)) == "README.md is no picture that this browser can read."


def test_without_the_package_it_says_what_to_do(kit):
    async def told(url):
        async with opened(url) as page:
            await page.until("document.body?.dataset.state === 'missing'")
            return await page.value("document.getElementById('status').textContent")

    with served(kit) as url:
        assert asyncio.run(told(url)).startswith(
            "LiteRT.js is missing. In this folder: npm install, then python serve.py"
        )
