"""The screenshots of TensorBoard in docs/tensorboard.md, taken in Chromium.

    pip install -e ".[browser]"                  # and Debian's package chromium
    python docs/screenshots.py tensorboard_logs docs/pictures

Opens TensorBoard on a folder of logs and saves a picture of each tab, `tensorboard-images.png` and
so on.
"""

import argparse
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

# And the text that is waited for.
TABS = {
    "scalars": "loss",
    "custom_scalars": "Matches",
    "images": "tag:",
    "text": "samples",
    "hparams": "TABLE VIEW",
    "projector": None,
    "graphs": "Main Graph",
}
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
FLAGS += ["--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


@contextlib.contextmanager
def tensorboard(folder):
    """Yields the address of a TensorBoard that has read a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", folder.name]
    command += ["--port", str(port), "--load_fast=false"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=folder.absolute().parent, **silent)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            with contextlib.suppress(OSError):
                if len(urllib.request.urlopen(f"{address}/data/runs").read()) > 2:
                    break
            time.sleep(0.5)
        else:
            raise SystemExit(f"TensorBoard found nothing in {folder}")
        time.sleep(5)  # for the rest of what it reads
        yield address
    finally:
        process.terminate()
        process.wait()


def take(page, address, tab, path, filtered=""):
    page.goto("about:blank")
    page.goto(f"{address}/#{tab}")
    if TABS[tab]:
        page.get_by_text(TABS[tab]).locator("visible=true").first.wait_for(timeout=60_000)
    else:
        frame = page.frame_locator("iframe").frame_locator("iframe")
        frame.get_by_text(re.compile("Points: [1-9]")).first.wait_for(timeout=60_000)
    if filtered and tab in ("images", "scalars"):
        page.get_by_label("Filter tags").or_(page.get_by_placeholder("Filter tags")).first.fill(
            filtered
        )
    page.wait_for_timeout(4000)  # for pictures to load, and points to move
    page.screenshot(path=path)
    print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("logs", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--tabs", nargs="+", choices=TABS, default=list(TABS))
    parser.add_argument("--name", default="tensorboard", help="what the files' names begin with")
    parser.add_argument("--filter", default="", help="of tags, a regular expression")
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if not chromium:
        raise SystemExit("Expected Chromium: apt-get install chromium.")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit('Expected playwright: pip install -e ".[browser]".') from None
    options.pictures.mkdir(parents=True, exist_ok=True)
    with tensorboard(options.logs) as address, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        for tab in options.tabs:
            path = options.pictures / f"{options.name}-{tab.replace('_', '-')}.png"
            take(page, address, tab, path, options.filter)
        browser.close()


if __name__ == "__main__":
    main()
