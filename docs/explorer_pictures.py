"""The pictures of the explorer in docs/explore.md and the README, taken in Chromium.

    pip install -e ".[browser]"                  # and Debian's package chromium
    python docs/explorer_pictures.py docs/explorer/en-pt.html docs/pictures --name explorer

Saves each section in light and dark, the whole page narrow, and the first screen in grey and as
people with deuteranopia, protanopia and tritanopia see it.
"""

import argparse
import shutil
from pathlib import Path

SECTIONS = ("overview", "attention", "block", "generation", "heads", "neurons", "training")
SECTIONS = (*SECTIONS, "positions")
DEFICIENCIES = ("achromatopsia", "deuteranopia", "protanopia", "tritanopia")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--name", default="explorer", help="what the files' names begin with")
    parser.add_argument("--address", default="", help="what is selected, such as '#s=2&p=4'")
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=SECTIONS)
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if not chromium:
        raise SystemExit("Expected Chromium: apt-get install chromium.")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit('Expected playwright: pip install -e ".[browser]".') from None
    options.pictures.mkdir(parents=True, exist_ok=True)

    def path(*words):
        return options.pictures / ("-".join([options.name, *words]) + ".png")

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def opened(width, scheme):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.goto(f"file://{options.page.absolute()}{options.address}")
            page.wait_for_selector("body[data-drawn]")
            page.evaluate("document.querySelector('header').style.position = 'static'")
            return page

        for scheme in ("light", "dark"):
            page = opened(1280, scheme)
            page.screenshot(path=path(scheme))
            for section in options.sections:
                page.locator(f"#{section}").screenshot(path=path(section, scheme))
        opened(390, "light").screenshot(path=path("narrow"), full_page=True)
        page = opened(1280, "light")
        tools = page.context.new_cdp_session(page)
        for deficiency in DEFICIENCIES:
            tools.send("Emulation.setEmulatedVisionDeficiency", {"type": deficiency})
            page.screenshot(path=path(deficiency), full_page=True)
        browser.close()
    for file in sorted(options.pictures.glob(f"{options.name}-*.png")):
        print(file)


if __name__ == "__main__":
    main()
