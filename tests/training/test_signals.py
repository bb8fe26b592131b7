import os
import signal
import threading

import pytest

from keras_transformer.training.signals import Stopped, stopped_by_signals


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_as_ctrl_c_does(number, status):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stop, stopped_by_signals():
        os.kill(os.getpid(), number)
    assert isinstance(stop.value, Stopped) and stop.value.status == status
    assert signal.getsignal(number) is before


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_leave_signals_alone():
    found = []

    def work():
        with stopped_by_signals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]
