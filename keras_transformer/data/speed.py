"""How fast batches can be made."""

import time
from typing import Any


def input_speed(batches: Any, seconds: float = 2.0) -> float:
    """Real tokens a second that making batches alone can deliver.

    Args:
        batches: Such as `MaskedBatches`, with `tokens`.
        seconds: How long to try, at most an epoch.

    Example:

    >>> from keras_transformer.data import StreamBatches
    >>> batches = StreamBatches([5, 6, 7, 8] * 20, batch_size=2, row_length=8)
    >>> input_speed(batches, seconds=0.0) > 0
    True
    """
    began, count = time.monotonic(), 0
    for _ in batches.dataset().take(batches.num_batches):
        count += 1
        if time.monotonic() - began > seconds:
            break
    return count * batches.tokens / batches.num_batches / (time.monotonic() - began)
