"""The speed of batches is that of their real tokens, over an epoch at most."""

from types import SimpleNamespace

import pytest

from keras_transformer.data import input_speed, speed


class Batches:
    """Eight batches of 100 real tokens, each of which takes as long as it is told to."""

    num_batches, tokens = 8, 800

    def __init__(self, monkeypatch, seconds):
        self.now = 0.0
        self.seconds = seconds
        monkeypatch.setattr(speed, "time", SimpleNamespace(monotonic=lambda: self.now))

    def dataset(self):
        return self

    def take(self, count):
        for _ in range(count):
            self.now += self.seconds
            yield


@pytest.mark.parametrize(
    ("seconds", "spent"),
    [(0.1, 0.8), (1.0, 3.0), (9.0, 9.0)],  # an epoch, until there is enough, one at least
)
def test_real_tokens_a_second(monkeypatch, seconds, spent):
    batches = Batches(monkeypatch, seconds)
    assert input_speed(batches, seconds=2.0) == pytest.approx(100 / seconds)
    assert batches.now == pytest.approx(spent)
