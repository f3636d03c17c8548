"""``capsdeploy``: puts capsules on a host and lets systemd run them; its commands are modules beside this one."""

from __future__ import annotations

import importlib
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
    arguments = sys.argv[1:] if argv is None else list(argv)
    command = arguments[0] if arguments else ""
    if command in _COMMANDS:
        module = importlib.import_module(f"capsule_deploy.cli.{_MODULES.get(command, command)}")
        run: Callable[[Sequence[str]], int] = module.main
        return run(arguments if command in {"pin", "unpin"} else arguments[1:])
    if command in {"--help", "-h", "help"}:
        print(_help())
        return 0
    if command == "--version":
        from capsule_builder import __version__

        print(f"capsdeploy {__version__}")
        return 0
    print(_USAGE, file=sys.stderr)
    what = f"no such command: {command!a}" if command else "a command is missing"
    print(f"capsdeploy: error: {what}; see capsdeploy --help", file=sys.stderr)
    return 2


def _help() -> str:
    lines = [f"  {name:<12}{what}" for name, what in _COMMANDS.items()]
    return "\n".join([_USAGE, "", "commands:", *lines, "", _EXAMPLES])


if __name__ == "__main__":
    raise SystemExit(main())
