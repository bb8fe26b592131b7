"""What watching training in TensorBoard costs, of the translation recipe on the built-in corpus.

    python benchmarks/watching.py [ROUNDS] [FLAGS ...]

By turns without and with `--watch`, its default: the seconds of training, from metrics.json.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "translation.py"


def seconds(flag, flags):
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(RECIPE), flag, "--name", "run", *flags]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return json.loads(Path(folder, "runs/run/metrics.json").read_text())["train_seconds"]


def main():
    rounds = int(sys.argv[1]) if sys.argv[1:] else 2
    found = {"--no-watch": [], "--watch": []}
    for number in range(rounds):
        for flag in sorted(found, reverse=number % 2):  # a machine gets slower, or faster
            found[flag].append(seconds(flag, sys.argv[2:]))
            print(f"{flag}: {found[flag][-1]:.1f} s", flush=True)
    off, on = (statistics.mean(found[flag]) for flag in ("--no-watch", "--watch"))
    print(f"watching costs {100 * (on / off - 1):+.1f} %")


if __name__ == "__main__":
    main()
