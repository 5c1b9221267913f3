"""The Python module against the program: the same answers, the same messages."""
import json
import os
import subprocess
import tempfile
import threading
import unittest

import paceline

EXPERIMENT = {"model": "resnet50", "batch": 32, "cluster": "16x1-1080ti-10gbe"}
FLAGS = ["-m", "resnet50", "-b", "32", "-c", "16x1-1080ti-10gbe"]


def program(*arguments):
    return subprocess.run([os.environ["PACELINE_BINARY"], *arguments], capture_output=True, text=True, check=False)


class Module(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.store = os.path.join(self.folder.name, "store.db")

    def tearDown(self):
        self.folder.cleanup()

    def test_run_is_the_programs(self):
        keys = {"schedule": "cocod-sgd:period=5", "set": ["network.bandwidth=5Gbps"], "seed": 3}
        expected = json.loads(program("run", *FLAGS, "-s", "cocod-sgd:period=5", "--set", "network.bandwidth=5Gbps",
                                      "--seed", "3", "--json").stdout)
        self.assertEqual(paceline.run(EXPERIMENT, **keys), expected)
        self.assertEqual(paceline.run(**EXPERIMENT, **keys), expected)
        self.assertEqual(paceline.run(expected["experiment"]), expected)
        self.assertNotIn("layers", expected)
        self.assertEqual(len(paceline.run(EXPERIMENT, layers=True)["layers"]["layers"]), 107)

    def test_simgrid_as_often_as_one_likes(self):
        flow = [paceline.run(EXPERIMENT, fidelity="flow", network=network)["iteration_time_s"]
                for network in ("simgrid", "flat", "simgrid")]
        self.assertEqual(flow[0], flow[2])
        self.assertAlmostEqual(flow[0] / flow[1], 1, delta=1e-9)

    def test_compare_is_the_programs(self):
        expected = json.loads(program("compare", *FLAGS, "--vary", "schedule=s-sgd,lags-sgd", "--vary",
                                      "network.bandwidth=1Gbps,10Gbps", "--json").stdout)
        self.assertEqual(paceline.compare(EXPERIMENT, vary={"schedule": ["s-sgd", "lags-sgd"],
                                                            "network.bandwidth": "1Gbps,10Gbps"}), expected)

    def test_sweep_and_load(self):
        vary = {"network.bandwidth": "1Gbps..100Gbps:log5", "batch": [16, 32]}
        first = paceline.sweep(EXPERIMENT, self.store, vary=vary, name="one")
        self.assertEqual((first["points"], first["simulations"], first["found"]), (10, 10, 0))
        self.assertEqual(paceline.sweep(EXPERIMENT, self.store, vary=vary, name="one")["found"], 10)
        rows = paceline.load(self.store)
        self.assertEqual([row["number"] for row in rows], list(range(10)))
        printed = [json.loads(line) for line in program("query", self.store, "--json").stdout.splitlines()]
        self.assertEqual([{k: v for k, v in row.items() if v is not None} for row in rows],
                         [{k: v for k, v in row.items() if v is not None} for row in printed])
        some = paceline.load(self.store, where="network.bandwidth=10Gbps..100Gbps;batch=32", columns=["iteration_time_s"])
        self.assertEqual([list(row) for row in some], [["iteration_time_s"]] * 3)
        full = paceline.load(self.store, full=True)
        self.assertEqual(full[3]["result"]["iteration_time_s"], rows[3]["iteration_time_s"])
        self.assertEqual(full[3]["labels"]["batch"], "32")
        self.assertEqual(paceline.load(self.store, sql="SELECT count(*) AS n FROM points"), [{"n": 10}])

    def test_optimize_is_the_programs(self):
        vary = {"network.bandwidth": "1Gbps..100Gbps:log9", "schedule": ["s-sgd:overlap=ddp", "cocod-sgd:period=5"]}
        axes = ["--vary", "network.bandwidth=1Gbps..100Gbps:log9", "--vary", "schedule=s-sgd:overlap=ddp,cocod-sgd:period=5"]
        asked = ["--minimize", "network.bandwidth", "--subject-to", "efficiency>=0.9"]
        said = program("optimize", *FLAGS, *axes, *asked, "--each", "schedule", "-o", self.store, "--json")
        self.assertEqual(said.returncode, 0, said.stderr)
        found = paceline.optimize(EXPERIMENT, self.store + "2", vary=vary, minimize="network.bandwidth",
                                  subject_to="efficiency>=0.9", each="schedule")
        expected = json.loads(said.stdout)
        self.assertEqual(found.pop("store"), expected.pop("store") + "2")
        self.assertEqual(found, expected)
        self.assertEqual([row["setting"]["schedule"] for row in found["optima"]], vary["schedule"])
        with self.assertRaisesRegex(paceline.InputError, "settings is allowed; nearest is"):
            paceline.optimize(EXPERIMENT, self.store, vary=vary, minimize="time", subject_to=["efficiency>=2"])

    def test_raises_what_the_program_says(self):
        for keys, flags in (({"schedule": "s-sdg"}, ["-s", "s-sdg"]), ({"steps": 0}, ["--steps", "0"]),
                            ({"set": ["network.bandwith=1Gbps"]}, ["--set", "network.bandwith=1Gbps"])):
            said = program("run", *FLAGS, *flags)
            self.assertEqual(said.returncode, 2)
            with self.assertRaises(paceline.InputError) as raised:
                paceline.run(EXPERIMENT, **keys)
            self.assertEqual(str(raised.exception).replace("python", "command line"),
                             said.stderr.removeprefix("paceline: ").rstrip("\n"))
        with self.assertRaisesRegex(ValueError, "did you mean 'network-1-to-400g'"):
            paceline.sweep("network-1-to-40g", self.store)
        with self.assertRaisesRegex(paceline.InputError, "no such store"):
            paceline.load("absent.db")
        with self.assertRaisesRegex(paceline.InputError, "network"):
            paceline.run(EXPERIMENT, fidelity="step", network="simgird")

    def test_lets_other_threads_run(self):
        ticks, stop = [], threading.Event()

        def tick():
            while not stop.wait(0.001):
                ticks.append(1)
        other = threading.Thread(target=tick)
        other.start()
        paceline.sweep(EXPERIMENT, self.store, vary={"seed": "1..200"}, jobs=1)
        stop.set()
        other.join()
        self.assertGreater(len(ticks), 20)

    def test_stubs_name_everything(self):
        stubs = open(os.path.join(os.path.dirname(paceline.__file__), "__init__.pyi"), encoding="utf-8").read()
        for name in paceline.__all__:
            self.assertRegex(stubs, rf"(def|class) {name}\b")


if __name__ == "__main__":
    unittest.main()
