"""Putting a capsule made of wheels on a host, the first time and as an update of one module, beside ``tar xzf``."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from benchmarks.bench import Bench, ratio
from benchmarks.measure import Contender
from benchmarks.measure import run as run_once
from benchmarks.ours import CAPSBUILD, capsbuild
from benchmarks.report import Result, Target

CAPSDEPLOY = [sys.executable, "-m", "capsule_deploy.cli.capsdeploy"]
_MODULE = "app/module_07.py"
TAR, FIRST, UPDATE = "tar xzf", "capsdeploy install, the first release", "capsdeploy install, one module changed"


def run(bench: Bench) -> Result:
    """Measures."""
    usual, place = 5, bench.place
    archives = _archives(bench)
    host, unpacked = place / "host", place / "unpacked"

    def empty() -> None:
        run_once(f"rm -rf {shlex.quote(str(unpacked))} {shlex.quote(str(host))}")
        trust = host / "etc/tori/trust"
        trust.mkdir(parents=True)
        shutil.copy(place / "bench.pub", trust)
        unpacked.mkdir()
        os.sync()

    def installed() -> None:
        empty()
        run_once(_install(host, archives[0]))
        os.sync()

    rows = bench.compare(
        [
            Contender(TAR, f"tar xzf {shlex.quote(str(archives[0]))} -C {shlex.quote(str(unpacked))}", prepare=empty),
            Contender(FIRST, _install(host, archives[0]), prepare=empty),
            Contender(UPDATE, _install(host, archives[1]), prepare=installed),
        ],
        usual,
    )
    installed()
    written = _written(host, archives[1])
    changed = (place / "application1" / _MODULE).stat().st_size
    return Result(
        title="Installing the capsule of the case `environment`, made of wheels, and one in which a module is another",
        rounds=bench.rounds(usual),
        rows=rows,
        targets=[
            Target("time of a first install, of tar xzf", ratio(rows, FIRST, "wall", TAR), most=1.3),
            Target("time of an update, of tar xzf", ratio(rows, UPDATE, "wall", TAR), most=0.25),
            Target(
                "bytes that an update writes besides the changed file", (written - changed) / 1e6, unit="MB", most=2.0
            ),
        ],
    )


def _archives(bench: Bench) -> list[Path]:
    """The capsule, and one of the same with a change of a line; both signed."""
    inputs, place = bench.inputs, bench.place
    run_once(f"{CAPSBUILD} keygen --no-password --output {shlex.quote(str(place / 'bench'))}")
    made = []
    for number in range(2):
        application = place / f"application{number}"
        shutil.copytree(inputs.application(), application)
        if number:
            with open(application / _MODULE, "a") as module:
                module.write("# changed\n")
        archive = place / f"{number}.tar.gz"
        wheels = ("--from-dir", application, "--wheels", inputs.wheels(), "--requirements", inputs.lock())
        run_once(capsbuild(*wheels, "--sign", place / "bench.key", output=shlex.quote(str(archive))))
        made.append(archive)
    return made


def _install(host: Path, archive: Path) -> str:
    return shlex.join([*CAPSDEPLOY, "install", "--root", str(host), str(archive)])


def _written(host: Path, archive: Path) -> int:
    """The bytes of all ``write`` calls to files, as strace sees them, in the command and its children."""
    log = host.parent / "writes"
    calls = "write,pwrite64,writev,copy_file_range"
    run_once(f"strace -f -qq -y -e trace={calls} -o {shlex.quote(str(log))} {_install(host, archive)}")
    with open(log, errors="replace") as lines:
        to_host = [line for line in lines if f"<{host}/" in line]
    return sum(int(line.rsplit("= ", 1)[1].split()[0]) for line in to_host)
