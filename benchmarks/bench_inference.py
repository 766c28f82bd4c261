"""What a warm process saves: inference with a 10-million-parameter model, cold, in a new process, and warm.

python benchmarks/bench_inference.py [--repeat 20]
"""

from __future__ import annotations

import argparse
import io
import statistics
import time

import numpy as np
import torch

from fl_server_ai.sandbox import ChildSetup, Job, ModelSource, RequestLimits, Sandbox

WIDTH, ROWS = 1000, 8


def model_file() -> bytes:
    """Ten linear layers of 1000 × 1000: 10.01 million parameters, 40 MB."""
    layers: list[torch.nn.Module] = []
    for _ in range(10):
        layers += [torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU()]
    buffer = io.BytesIO()
    torch.save(torch.nn.Sequential(*layers), buffer)
    return buffer.getvalue()


def new_sandbox() -> Sandbox:
    return Sandbox(ChildSetup("fl_server_ai.inference.sandboxed"), queue=1, request=RequestLimits(60, 60))


def job_for(content: bytes) -> Job:
    options = {"method": "NONE", "uncertainty": {}, "input_shape": [None, WIDTH]}
    source = ModelSource("0", "model", lambda: content)
    return Job("predict", [source], {"input": np.ones((ROWS, WIDTH), np.float32)}, options)


def seconds(sandbox: Sandbox, job: Job, tenant: str) -> float:
    start = time.perf_counter()
    sandbox.run(job, tenant=tenant)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=20)
    repeat = parser.parse_args().repeat
    job = job_for(model_file())
    cold = []
    for _ in range(3):
        sandbox = new_sandbox()
        cold.append(seconds(sandbox, job, "a"))
        sandbox.close()
    sandbox = new_sandbox()
    sandbox.run(job, tenant="a")
    warm = [seconds(sandbox, job, "a") for _ in range(repeat)]
    fresh = [seconds(sandbox, job, str(number)) for number in range(repeat)]
    sandbox.close()
    report(statistics.median(cold), statistics.median(fresh), statistics.median(warm))


def report(cold: float, fresh: float, warm: float) -> None:
    print(f"10 million parameters, {ROWS} rows, medians")
    print(f"cold (torch imported, model loaded)       {cold * 1000:9.1f} ms   {cold / warm:7.1f} × warm")
    print(f"new process for another tenant            {fresh * 1000:9.1f} ms   {fresh / warm:7.1f} × warm")
    print(f"warm                                      {warm * 1000:9.1f} ms")


if __name__ == "__main__":
    main()
