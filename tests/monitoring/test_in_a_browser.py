"""TensorBoard, opened in Chromium on a run of each recipe: every tab has something to see.

Needs `pip install -e ".[browser]"` and Debian's `chromium`.
"""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))
import small

from keras_transformer.recipes import causal_lm, masked_lm, text_classification, translation

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]
PAGES = {page.Settings.recipe: page for page in (translation, masked_lm, causal_lm)}
PAGES["text_classification"] = text_classification
WEB_GL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
WEB_GL += ["--ignore-gpu-blocklist"]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Of a TensorBoard on a run of each recipe."""
    folder = tmp_path_factory.mktemp("runs")
    small.write_text(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, page in PAGES.items():
            page.main([*small.FLAGS[name].split(), "--watch", "--name", name])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--load_fast=false", "--bind_all"]
    command += ["--logdir", str(folder / "tensorboard_logs"), "--port", str(port)]
    with open(folder / "said", "w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        at = f"http://127.0.0.1:{port}"
        wait_for(lambda: len(ask(at, "runs")) == 3 * len(PAGES), process)
        yield at
    finally:
        process.terminate()
        process.wait()


def ask(address, what):
    with urllib.request.urlopen(f"{address}/data/{what}") as answer:
        return json.load(answer)


def wait_for(is_there, process, seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, "TensorBoard ended"
        try:
            if is_there():
                return
        except OSError:
            pass  # it has not begun yet
        time.sleep(0.2)
    raise AssertionError(f"nothing to see after {seconds} s")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *WEB_GL])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    yield page
    page.close()


def see(page, address, tab, *texts):
    """Opens a tab and waits until it shows texts."""
    page.goto(f"{address}/#{tab}")
    for text in texts:
        page.get_by_text(text).first.wait_for(timeout=60_000)


def test_scalars(page, address):
    see(page, address, "scalars", "loss", "learning_rate", "weights", "updates")
    for name in PAGES:
        assert ask(address, "plugin/scalars/tags")[f"{name}/validation"]["loss"]


def test_text_has_samples(page, address):
    see(page, address, "text", "samples")
    tags = ask(address, "plugin/text/tags")
    assert all("samples" in tags[f"{name}/samples"] for name in PAGES)


def test_images_are_drawn(page, address):
    see(page, address, "images", "alignment/1")
    image = page.locator("img").first
    image.wait_for(timeout=60_000)
    assert image.evaluate("image => image.complete && image.naturalWidth") == 350
    found = ask(address, "plugin/images/tags")
    kinds = {
        name: {tag.partition("_attention")[0] for tag in found[f"{name}/samples"] if "atte" in tag}
        for name in PAGES
    }
    assert kinds == {
        "translation": {"self", "causal", "cross"},
        "masked_lm": {"self"},
        "causal_lm": {"causal"},
        "text_classification": {"self"},
    }


def test_the_projector_opens(page, address):
    see(page, address, "projector")
    frame = page.frame_locator("iframe").frame_locator("iframe")  # its own page, in a page
    points = frame.get_by_text(re.compile(r"Points: [1-9]")).first
    points.wait_for(timeout=60_000)
    frame.locator("canvas").first.wait_for(timeout=60_000)
    shown = points.inner_text()
    shapes = [
        ask(address, f"plugin/projector/info?run={name}/train")["embeddings"][0]["tensorShape"]
        for name in PAGES
    ]
    assert any(f"Points: {points}" in shown for points, _ in shapes), shown
    assert {width for _, width in shapes} == {16}


def test_settings_and_scores_compare(page, address):
    see(page, address, "hparams", "TABLE VIEW", "hidden_dim")
    for name in PAGES:  # a line each
        page.get_by_text(name, exact=True).first.wait_for(timeout=60_000)


def test_custom_scalars_have_both_curves(page, address):
    see(page, address, "custom_scalars", "training and validation")
    # Of each recipe two, and in the chart of the loss all.
    page.get_by_text(f"Matches ({2 * len(PAGES)})").first.wait_for(timeout=60_000)


def test_the_graph_opens(page, address):
    see(page, address, "graphs", "Main Graph")
    assert all(f"{name}/train" in ask(address, "plugin/graphs/info") for name in PAGES)
