"""Folders, and rooms of sim/, depend downwards only, and SimGrid stays behind sim/simgrid_shim.hpp."""
import os
import re

from source import CPP

# What each folder may include besides itself.
BELOW = {
    "base": set(),
    "kernels": {"base"},
    "models": {"base", "kernels"},
    "platforms": {"base"},
    "calibrate": {"base", "kernels", "models", "platforms"},
    "algorithms": {"base", "kernels/operations"},
    "sim": {"base", "kernels", "models", "platforms", "calibrate", "algorithms"},
    "experiments": {"base", "kernels", "models", "platforms", "calibrate", "algorithms", "sim"},
    "studies": {"base", "kernels", "models", "platforms", "calibrate", "algorithms", "sim", "experiments"},
    # The program that writes clusters says what the simulator makes of them.
    "calibrate/program": {"base", "kernels", "models", "platforms", "calibrate", "algorithms", "sim"},
    "cli": {"base", "kernels", "models", "platforms", "calibrate", "algorithms", "sim", "experiments",
            "studies"},
    "python": {"base", "kernels", "models", "platforms", "calibrate", "algorithms", "sim", "experiments", "studies"},
    "mpi": {"base", "kernels", "models", "platforms", "calibrate", "algorithms", "sim", "experiments", "studies", "cli"},
}
# And each room of sim/ besides itself. What all workers and servers share, and logs without code, stand beside the rooms.
ROOMS = {
    "sim/time": set(),
    "sim/values": {"sim/time"},
    "sim/network": {"sim/time", "sim/values"},
    "sim/server": {"sim/time", "sim/values", "sim/network"},
    "sim/worker": {"sim/time", "sim/values", "sim/network", "sim/server"},
}
SHARED = {"sim/link_use.hpp": {"sim/network"}, "sim/job_context.hpp": {"sim/server", "sim/worker"}, "sim/training_log.hpp": {"sim/values"}}
SHIM = "sim/network/simgrid/shim.hpp"
SIMGRID = re.compile(r"(simgrid|xbt|smpi)/|simgrid\.h|msg\.h")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.M)


def room_of(path):
    return "/".join(path.split("/")[:2])


def check(files):
    for file in files:
        if file.suffix not in CPP:
            continue
        for match in INCLUDE.finditer(file.text):
            target = match.group(1)
            if SIMGRID.match(target) and file.path != SHIM:
                yield file.finding(match.start(1), "simgrid", f"<{target}>: only {SHIM} includes SimGrid")
            if file.folder not in BELOW or "/" not in target:
                continue
            if target.startswith("../"):
                yield file.finding(match.start(1), "include-path", f'"{target}": write "folder/header.hpp"')
            folder = target.split("/")[0]
            below = BELOW.get(os.path.dirname(file.path), BELOW[file.folder]) | {file.folder}
            if folder in BELOW and folder not in below and target.rpartition("/")[0] not in below:
                allowed = ", ".join(sorted(BELOW[file.folder])) or "nothing"
                yield file.finding(match.start(1), "folder",
                                   f"{file.folder}/ may include {allowed} of ours, not \"{target}\"")
            room, other = room_of(file.path), room_of(target)
            if room in ROOMS and target.startswith("sim/") and other != room and other not in ROOMS[room] and \
                    room not in SHARED.get(target, ()):
                allowed = ", ".join(sorted(ROOMS[room])) or "no other room"
                yield file.finding(match.start(1), "room", f'{room}/ may include {allowed} of sim/, not "{target}"')
            if target == SHIM and file.folder not in ("sim", "tests"):
                yield file.finding(match.start(1), "simgrid", f"{SHIM} is for sim/ only")
