"""`python -m benchmarks.fake_aws.imports MODULE...`: import one after the other, as the engine's handlers do.

Prints the seconds of each, with what it imports that none before did, as JSON.
"""

import sys
import time

_began = time.perf_counter()


def main(modules: list[str]) -> list[float]:
    took: list[float] = []
    before = _began
    for name in modules:
        __import__(name)
        now = time.perf_counter()
        took.append(now - before)
        before = now
    return took


if __name__ == "__main__":
    seconds = main(sys.argv[1:])
    sys.stdout.write(f"[{', '.join(map(str, seconds))}]\n")
