"""Models that several files generate from."""

import pytest
import tiny


@pytest.fixture(scope="module")
def language_model():
    return tiny.make_talkative("decoder_only")


@pytest.fixture(scope="module")
def translator():
    return tiny.make_talkative("encoder_decoder")
