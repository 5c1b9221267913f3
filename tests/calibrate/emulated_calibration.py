#!/usr/bin/env python3
"""The whole calibration of a GPU, on the emulated CUDA runtime (tests/cuda/emulated/README.md): the file is readable,
complete and priced, an interrupted one goes on, and `check` runs on it. No figure in it means anything.

  emulated_calibration.py CALIBRATE PACELINE
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

calibrate, paceline = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
MEASURE = ["--device", "cuda:0", "--model", "lenet5", "--batch", "2", "--seconds", "0.1", "--most-elements", "2k"]


def start(*arguments):
    return subprocess.Popen([calibrate, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*arguments, expect=0):
    process = start(*arguments)
    out, err = process.communicate()
    assert process.returncode == expect, (arguments, process.returncode, err)
    return out if expect == 0 else err


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        # Interrupted once its batch is there; meanwhile no other may measure into the file.
        process = start(*MEASURE, "--out", "x.json")
        while process.poll() is None and not os.path.exists("x.json"):
            time.sleep(0.05)
        assert "another paceline-calibrate" in run(*MEASURE, "--out", "x.json", expect=2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        assert process.returncode == 130, (process.returncode, err)
        # No progress in a pipe.
        assert err == "paceline calibrate: interrupted: what was measured is in x.json; the same command goes on\n", err
        with open("x.json") as file:
            first = json.load(file)
        assert not first["metadata"].get("operations_complete"), "there was nothing to interrupt"
        assert sorted(os.listdir()) == ["x.json"], os.listdir()

        run(*MEASURE, "--out", "x.json")
        with open("x.json") as file:
            profile = json.load(file)
        assert profile["batches"] == first["batches"]
        assert profile["precision"] == "fp32"
        metadata = profile["metadata"]
        assert metadata["operations_complete"] is True
        device = metadata["device"]
        for key in ("uuid_hash", "compute_capability", "multiprocessors", "l2_bytes", "memory_bytes", "ecc", "pcie"):
            assert key in device, key
        batch = metadata["batches"]["2"]
        assert batch["operators_complete"] is True and batch["date"] and batch["tool"]
        assert "convolutions" in batch and "clocks" in batch
        for layer in batch["layers"]:
            for key in ("name", "kind", "output", "parameters", "forward_flops", "forward_least_bytes", "forward"):
                assert key in layer, (key, layer)
        for layer in profile["batches"][0]["layers"]:
            assert "backward_weight" not in layer, layer
        assert len(profile["operations"]["kernels"]) > 20
        for operator in batch["operators"]:
            assert "error" not in operator, operator

        # Another model of the same GPU does not measure all that again.
        began = time.monotonic()
        run("--device", "cuda:0", "--model", "mlp", "--batch", "2", "--seconds", "0.1", "--no-operators",
            "--operations-from", "x.json", "--out", "y.json")
        with open("y.json") as file:
            assert json.load(file)["operations"] == profile["operations"]
        print(f"the second one took {time.monotonic() - began:.1f} s")
        rows = json.loads(run("check", "x.json", "--device", "cuda:0", "--seconds", "0.1", "--json"))
        assert [row["batch"] for row in rows] == [2] and rows[0]["measured_s"] > 0, rows
        assert "this is" in run("check", "x.json", "--device", "cpu", expect=2)
        assert "tf32 needs compute capability" in run(*MEASURE, "--precision", "tf32", expect=2)
        assert "there are fp32 and" in run(*MEASURE, "--precision", "fp16", expect=2)
        subprocess.run([paceline, "show", "profile", "x.json"], check=True, stdout=subprocess.DEVNULL)


main()
