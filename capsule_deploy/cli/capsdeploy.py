"""``capsdeploy``: puts capsules on a host and lets systemd run them; its commands are modules beside this one."""

from __future__ import annotations

import gc
import importlib
import signal
import sys
from collections.abc import Callable, Sequence

_COMMANDS = {
    "install": "put the capsule in a file on this host",
    "activate": "let a release take over",
    "rollback": "go back to the release that was active before",
    "deactivate": "stop an application",
    "status": "tell what runs",
    "list": "list the releases on this host",
    "verify": "tell whether releases are what was installed",
    "gc": "remove releases that nothing needs",
    "pin": "keep a release, whatever gc does",
    "unpin": "no longer keep it",
    "logs": "show what a release wrote to the journal",
    "host": "set up this host",
    "doctor": "tell what is wrong with this host",
    "recover": "finish or undo what a crash interrupted",
}
_MODULES = {"list": "list_", "pin": "pins", "unpin": "pins"}

_USAGE = "usage: capsdeploy COMMAND [--root DIR] [--json] [ARGUMENTS]"
_EXAMPLES = """\
A release may be named by the first eight digits of its ID, or more. Each command is safe to repeat.

examples:
  capsdeploy install capsule-alan-c7eb04c6a27c.tar.gz
  capsdeploy activate c7eb04c6a27c
  capsdeploy status alan
  capsdeploy rollback alan
  capsdeploy gc --dry-run

`capsdeploy COMMAND --help` tells more, with the exit statuses."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``capsdeploy`` with ``argv`` (default: the process's); gives the exit status."""
    if argv is None:
        argv = sys.argv[1:]
        if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the command listens: there is nothing to undo yet
        gc.disable()  # the process ends with the command; looking for circles takes a tenth of the time, and finds few
    arguments = list(argv)
    command = arguments[0] if arguments else ""
    if command in _COMMANDS:
        module = importlib.import_module(f"capsule_deploy.cli.{_MODULES.get(command, command)}")
        run: Callable[[Sequence[str]], int] = module.main
        return run(arguments if command in {"pin", "unpin"} else arguments[1:])
    if command in {"--help", "-h", "help"}:
        return _tell(_help())
    if command == "--version":
        from capsule_builder import __version__

        return _tell(f"capsdeploy {__version__}")
    print(_USAGE, file=sys.stderr)
    what = f"no such command: {command!a}" if command else "a command is missing"
    if command.startswith("-"):
        what = f"the command comes first, and then {command!a}"
    print(f"capsdeploy: error: {what}; see capsdeploy --help", file=sys.stderr)
    return 2


def _tell(text: str) -> int:
    from capsule_builder.cli import report

    report.prepare()
    report.finish()
    return 0 if report.result(text, done=False) else 1


def _help() -> str:
    lines = [f"  {name:<12}{what}" for name, what in _COMMANDS.items()]
    return "\n".join([_USAGE, "", "commands:", *lines, "", _EXAMPLES])


if __name__ == "__main__":
    raise SystemExit(main())
