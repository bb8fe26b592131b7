"""What the explorer costs: the time to write a page, its size, and the answer to a hover.

    pip install -e ".[browser]"                  # and Debian's package chromium
    python benchmarks/explorer.py

Ten pairs of 30 tokens, a random encoder-decoder of the original paper's size (6 + 6 layers, 8
heads, 512 and 2,048 wide) with 8,000 tokens. A hover is timed in headless Chromium, from the event
until the layout is done: the median of 200, in the largest picture of the page.
"""

import os
import shutil
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import keras_transformer as kt

HOVER = """async () => {
  const picture = document.querySelector('#attention .matrix canvas'), times = [];
  const box = picture.getBoundingClientRect();
  for (let i = 0; i < 200; i++) {
    const x = box.left + ((i * 37) % box.width), y = box.top + ((i * 53) % box.height);
    const before = performance.now();
    picture.dispatchEvent(new MouseEvent('mousemove', { clientX: x, clientY: y, bubbles: true }));
    document.body.offsetHeight; // layout is done
    times.push(performance.now() - before);
    await new Promise(requestAnimationFrame);
  }
  return times.sort((a, b) => a - b)[100];
}"""
SENTENCE = """async () => {
  const before = performance.now();
  state.s = 2;
  await draw();
  return performance.now() - before;
}"""


def main():
    words = [f"w{i}" for i in range(7996)]
    tokenizer = kt.text.train_tokenizer("whitespace", [" ".join(words)])
    config = kt.TransformerConfig(
        vocabulary_size=tokenizer.vocabulary_size,
        num_layers=6,
        num_heads=8,
        hidden_dim=512,
        intermediate_dim=2048,
        max_sequence_length=64,
    )
    task = kt.tasks.Translator(kt.models.encoder_decoder(config), tokenizer, beams=4)
    rng = np.random.default_rng(1)
    pairs = [
        tuple(" ".join(rng.choice(words, 29)) for _ in range(2)) for _ in range(10)
    ]  # and an end, or a start
    task.model.predict_on_batch([np.ones((1, 4), "int32")] * 2)
    page = f"{tempfile.mkdtemp()}/explore.html"
    begun = time.perf_counter()
    file = kt.monitoring.explore(task, pairs, page)
    print(f"written in {time.perf_counter() - begun:.1f} s, {file.stat().st_size / 1e6:.2f} MB")
    chromium = shutil.which("chromium")
    if not chromium:
        sys.exit("Expected Chromium for the rest: apt-get install chromium.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1400, "height": 900})
        begun = time.perf_counter()
        shown.goto(f"file://{page}")
        shown.wait_for_selector("body[data-drawn]")
        print(f"first picture after {time.perf_counter() - begun:.2f} s")
        shown.locator("#attention .matrix canvas").scroll_into_view_if_needed()
        print(f"a hover is answered in {shown.evaluate(HOVER):.1f} ms (median of 200)")
        print(f"another sentence is drawn in {shown.evaluate(SENTENCE):.0f} ms")
        browser.close()


if __name__ == "__main__":
    main()
