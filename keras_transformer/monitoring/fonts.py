"""Fonts for tokens of any script, as far as there are some."""

import functools
import unicodedata
import warnings
from collections.abc import Iterable, Sequence

FIRST = "DejaVu Sans"  # comes with matplotlib


def drawable(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Texts as they can be drawn, and the families of fonts that draw them.

    A character that no font of this machine has is shown by its number, as `U+4F60`, and a warning
    names its script: boxes all look the same. Line breaks and other control characters, too.

    Example:

    >>> drawable(["Straße", "a\\nb"])
    (['Straße', 'aU+000Ab'], ['DejaVu Sans'])
    """
    wanted = sorted({c for text in texts for c in text if not _is_control(c)})
    families, missing = _families("".join(wanted))
    if missing:
        scripts = sorted({unicodedata.name(c, "UNKNOWN").split()[0] for c in missing})
        warnings.warn(
            f"Expected a font for {', '.join(scripts)}, such as one of the Noto fonts. Without it "
            f"{', '.join(map(repr, missing[:5]))}{', ...' * (len(missing) > 5)} are shown by their "
            "numbers.",
            stacklevel=2,
        )
    known = set(wanted) - set(missing)
    shown = ["".join(c if c in known else f"U+{ord(c):04X}" for c in text) for text in texts]
    return shown, families


def _is_control(character):
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


@functools.lru_cache(64)
def _families(characters: str) -> tuple[list[str], list[str]]:
    """The families that have the characters, and the characters that no family has."""
    left = {c for c in characters if ord(c) not in _characters_of(FIRST)}
    families = [FIRST]
    if left:
        for family in sorted(_all_families()):
            found = {c for c in left if ord(c) in _characters_of(family)}
            if found:
                families.append(family)
                left -= found
            if not left:
                break
    return families, sorted(left)


def _all_families() -> Iterable[str]:
    from matplotlib.font_manager import fontManager

    names = {font.name for font in fontManager.ttflist}
    return {name for name in names if not name.startswith("Last Resort")}  # which has boxes alone


@functools.lru_cache(256)
def _characters_of(family: str) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    # The very file that matplotlib will draw with.
    return frozenset(FT2Font(findfont(FontProperties(family=[family]))).get_charmap())
