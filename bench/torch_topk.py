#!/usr/bin/env python3
"""torch.topk of |x| on this GPU, for the sizes of cuda_sparsify: the figures to stand beside its table.

  python3 bench/torch_topk.py [--json FILE] [--quick]
"""
import argparse
import json
import statistics

import torch


def median_seconds(work, buffers):
    for buffer in buffers:
        work(buffer)
    torch.cuda.synchronize()
    samples = []
    for _ in range(20):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for buffer in buffers:
            work(buffer)
        end.record()
        torch.cuda.synchronize()
        samples.append(1e-3 * start.elapsed_time(end) / len(buffers))
    return statistics.median(samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    properties = torch.cuda.get_device_properties(0)
    print(f"torch {torch.__version__} on {properties.name}")
    print(f"{'kernel':<24} {'n':>10} {'k':>9} {'median us':>12} {'GB/s':>9}")
    rows = []
    for n in [1 << 20, 25_600_000] if options.quick else [100_000, 1 << 20, 8_000_000, 25_600_000, 100_000_000]:
        count = min(64, 2 * properties.L2_cache_size // (4 * n) + 1)
        x = [torch.randn(n, device="cuda") for _ in range(count)]
        r = [torch.randn(n, device="cuda") for _ in range(count)]
        for parts in [1000] if options.quick else [1000, 100, 10_000]:
            k = n // parts

            def plain(i):
                torch.topk(x[i].abs(), k, sorted=False)

            def error_feedback(i):
                r[i].add_(x[i], alpha=0.1)
                _, indices = torch.topk(r[i].abs(), k, sorted=False)
                values = r[i][indices]
                r[i][indices] = 0
                return values

            for name, work, least in (("torch.topk of |x|", plain, 4 * n + 8 * k),
                                      ("torch add+topk+clear", error_feedback, 12 * n + 8 * k)):
                seconds = median_seconds(work, range(count))
                print(f"{name:<24} {n:>10} {k:>9} {1e6 * seconds:>12.2f} {least / seconds * 1e-9:>9.0f}", flush=True)
                rows.append({"kernel": name, "n": n, "k": k, "seconds": seconds, "least_bytes": least})
        del x, r
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"torch": torch.__version__, "device": properties.name, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
