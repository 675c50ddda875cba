"""What other busy programs cost a training step, with and without a short OpenMP spin.

Run ``python benchmarks/busy_machine.py``; it starts and ends the busy programs itself.
"""

from __future__ import annotations

import os
import subprocess
import sys

STEP = """
import time, torch
from napari_convnet.networks import build_network
torch.set_num_threads({threads})
network = build_network("convnet", 3, 4).to(memory_format=torch.channels_last)
inputs = torch.randn(16, 3, 56, 56).to(memory_format=torch.channels_last)
targets = torch.randint(0, 4, (16,))
times = []
for _ in range(20):
    start = time.perf_counter()
    torch.nn.functional.cross_entropy(network(inputs), targets).backward()
    times.append(time.perf_counter() - start)
print(sorted(times)[10] * 1000)
"""


def measure(spin: str) -> float:
    """Return the median milliseconds of a step in a process of its own; "" keeps OpenMP's own spin."""
    environment = dict(os.environ, GOMP_SPINCOUNT=spin)
    if not spin:
        # The package sets it where it is missing; this is the number that GNU OpenMP takes by itself.
        environment["GOMP_SPINCOUNT"] = "300000"
    code = STEP.format(threads=os.cpu_count())
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Print one row for each state of the machine."""
    print(f"{os.cpu_count()} threads, ConvNet, batch of 16 patches of 56 x 56, median ms a step")
    print(f"{'':24}{'OpenMP default':>16}{'short spin':>12}")
    for name, n_busy in (("nothing else running", 0), ("three other busy programs", 3)):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_busy)]
        try:
            print(f"{name:24}{measure(''):16.0f}{measure('2000'):12.0f}")
        finally:
            for process in busy:
                process.kill()


if __name__ == "__main__":
    main()
