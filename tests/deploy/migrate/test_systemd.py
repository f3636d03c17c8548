"""Commands and variables of units against systemd itself, which is asked how it would start them."""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path

from capsule_deploy.migrate.model import Findings
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.systemd.reader import read_units
from tests.capsbuild.command import write
from tests.environment.corpus import open_place
from tests.environment.host import NOBODY

# No tab, no letter that makes an escape of control, no "#" or "~": what systemd prints is read by a shell.
_PIECES = [
    "k", "m", "é", " ", "  ", '"', "'", "\\", "\\\\", "\\x41", "\\101", "\\s", "\\u00e9", "\\q", "\\'", '\\"', "%%",
    "%n", "%N", "%p", "%i", "%T", "=", "-", "A=", "\\\n", "\\\n# within\n", "@",
]  # fmt: skip
CASES = 400


def dumped(units: Path, place: Path) -> dict[str, tuple[list[str], list[str]]]:
    """By unit: the commands, each as a line of shell, and the variables, each as it is set."""
    (place / "runtime").mkdir(mode=0o700)
    drop: list[str] = []
    if os.geteuid() == 0:
        os.chown(place / "runtime", NOBODY, NOBODY)
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    for path in (place, units, *units.rglob("*")):
        path.chmod(0o755)
    env = {
        "HOME": "/tmp", "XDG_RUNTIME_DIR": str(place / "runtime"),
        "SYSTEMD_UNIT_PATH": f"{units}:/usr/lib/systemd/user", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    command = [*drop, "/usr/lib/systemd/systemd", "--test", "--user", "--unit=all.service", "--log-target=null"]
    done = subprocess.run(command, env=env, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    found: dict[str, tuple[list[str], list[str]]] = {}
    for section in re.split(r"(?m)^\t-> Unit ", text)[1:]:
        name = section.partition(":\n")[0]
        commands = re.findall(r"(?m)^\t\t\tCommand Line: (.*)$", section)
        found[name] = (commands, re.findall(r"(?m)^\t\tEnvironment: (.*)$", section))
    return found


def shell_words(lines: list[str]) -> list[list[str]]:
    """The words of lines that systemd has quoted for a shell."""
    script = "\n".join(f'w {line}; printf "\\n"' for line in lines)
    run = subprocess.run(["bash", "-c", f'w() {{ printf "%s\\0" "$@"; }}\n{script}'], capture_output=True, check=True)
    return [line.split("\0")[:-1] for line in run.stdout.decode().split("\n")[:-1]]


def test_commands_and_variables_are_those_that_systemd_would_start() -> None:
    chance = random.Random(6)
    with open_place() as place:
        units = place / "units"
        names = [f"c{number}.service" for number in range(CASES)]
        write(units, {"all.service": f"[Unit]\nWants={' '.join(names)}\n[Service]\nExecStart=/bin/true\n"})
        for name in names:
            texts = ["".join(chance.choices(_PIECES, k=chance.randint(1, 14))) for _ in range(2)]
            service = f"[Service]\nExecStart=/bin/echo {texts[0]}\nEnvironment=FIRST=1 {texts[1]}\n\nType=oneshot\n"
            write(units, {name: service})
        answers = dumped(units, place)
        (place / "app").mkdir()
        compared = 0
        for name in names:
            text = (units / name).read_text()
            findings = Findings()
            deployment = read_units([str(units / name)], Places("/", str(place / "app")), findings)
            commands, variables = answers.get(name, ([], []))
            own = [list(process.argv) for process in deployment.processes]
            assert own == shell_words(commands), text
            if own:
                compared += 1
                env = {key: variable.value for key, variable in deployment.processes[0].env.items()}
                assert env == dict(line.split("=", 1) for line in variables), text
        assert compared > CASES / 4


def test_drop_ins_count_in_the_order_of_systemd() -> None:
    with open_place() as place:
        units = place / "units"
        write(units, {
            "all.service": "[Unit]\nWants=x-y-z.service t@one-two.service\n[Service]\nExecStart=/bin/true\n",
            "x-y-z.service": "[Service]\nType=oneshot\nExecStart=/bin/echo unit\nEnvironment=A=unit B=unit\n",
            "x-y-z.service.d/10.conf": "[Service]\nExecStart=/bin/echo ten\nEnvironment=A=ten\n",
            "x-y-.service.d/20.conf": "[Service]\nEnvironment=A=twenty C=twenty\n",
            "x-.service.d/30.conf": "[Service]\nExecStart=/bin/echo thirty\nEnvironment=C=thirty\n",
            "x-.service.d/10.conf": "[Service]\nExecStart=/bin/echo never\n",
            "service.d/05.conf": "[Service]\nEnvironment=A=five D=five\n",
            "t@.service": "[Service]\nExecStart=/bin/echo %i %I %j %p %P %n %N %f\nEnvironment=A=%p-%i\n",
            "t@.service.d/10.conf": "[Service]\nEnvironment=B=template\n",
            "t@one-two.service.d/20.conf": "[Service]\nEnvironment=\nEnvironment=C=instance\n",
        })  # fmt: skip
        (units / "t@one-two.service").symlink_to("t@.service")
        answers = dumped(units, place)
        for name in ("x-y-z.service", "t@one-two.service"):
            commands, variables = answers[name]
            deployment = read_units([str(units / name)], Places("/", str(place)), Findings())
            assert [list(process.argv) for process in deployment.processes] == shell_words(commands), name
            env = {key: variable.value for key, variable in deployment.processes[0].env.items()}
            assert env == dict(line.split("=", 1) for line in variables), name


def test_every_unit_of_this_machine_is_read(tmp_path: Path) -> None:
    """Real units by many hands: no line that systemd takes is one that nobody knows here."""
    count = 0
    for path in sorted(Path("/usr/lib/systemd/system").glob("*.service")):
        if path.resolve() == Path(os.devnull):
            continue
        findings = Findings()
        read_units([str(path)], Places("/", str(tmp_path)), findings)
        strange = [one for one in findings if one.code in ("directive-unknown", "line-invalid", "section")]
        assert strange == [], path
        count += 1
    assert count > 20
