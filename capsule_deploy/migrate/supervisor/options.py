"""What becomes of supervisor's sections and options that are not about which program runs."""

from __future__ import annotations

from capsule_deploy.migrate.circumstances import account, stop_signal
from capsule_deploy.migrate.model import Findings
from capsule_deploy.migrate.supervisor.configuration import Configuration, Section

OTHER_SECTIONS = {
    "unix_http_server": ("supervisor-rpc", "There is no supervisord to talk to: `capsdeploy status` tells."),
    "inet_http_server": ("supervisor-rpc", "There is no supervisord to talk to: `capsdeploy status` tells."),
    "supervisorctl": ("supervisor-rpc", "There is no supervisord to talk to: `capsdeploy status` tells."),
    "rpcinterface": ("supervisor-rpc", "There is no supervisord to talk to."),
    "eventlistener": ("eventlistener", "There is no supervisord whose events it could hear."),
    "fcgi-program": (
        "socket-activation",
        "A FastCGI program gets its socket from supervisor; nobody hands it one now.",
    ),
    "group": ("group", "The services of a capsule start and stop together."),
}
"""What becomes of sections that are neither programs nor ``[supervisord]``, by their kinds."""

_RESTARTS = ("restart", "The template restarts a process that fails; activation and rollback watch over it.")
_OUTPUT = ("log-output", "What a service prints goes to the journal: `capsdeploy logs`.")
_STOPS = ("timeout", "The template stops all processes of a service, and has its own time for it.")
_OPTIONS = {
    **dict.fromkeys(("startsecs", "startretries", "exitcodes"), _RESTARTS),
    "autostart": ("enabled", "What runs after a boot is what `capsdeploy activate` made active."),
    **dict.fromkeys(("stopwaitsecs", "stopasgroup", "killasgroup"), _STOPS),
    "priority": ("ordering", "The services of a capsule start together."),
    "umask": ("hardening", "The template unit has its own file mode mask, 0077."),
    "redirect_stderr": _OUTPUT,
    **{f"{stream}_{rest}": _OUTPUT for stream in ("stdout", "stderr") for rest in (
        "logfile", "logfile_maxbytes", "logfile_backups", "capture_maxbytes", "events_enabled", "syslog")},
}  # fmt: skip


def tell_options(section: Section, configuration: Configuration, findings: Findings) -> None:
    """Tells what becomes of the options of a program that are not about which program runs."""
    for key, option in section.options.items():
        origin = section.origin(key)
        if key in ("command", "environment", "directory", "numprocs", "numprocs_start", "process_name"):
            continue
        if key == "user":
            account(findings, option.value, origin, subject=key)
        elif key == "stopsignal":
            stop_signal(findings, option.value, origin, subject=key)
        elif key == "autostart" and option.value.lower() in ("false", "off", "0", "no"):
            message = "It was started by hand; every service of a capsule is started with it."
            remedy = "Remove it from services if it is not to run always."
            findings.left("autostart", key, message, remedy, origin)
        elif key == "autorestart":
            always = option.value.lower() in ("true", "1", "yes", "on")
            message = "The template restarts a process that fails."
            if always:
                message += " One that ends by itself with status 0 is not started again."
            findings.changed("restart", key, message, "", origin)
        elif key in _OPTIONS:
            code, message = _OPTIONS[key]
            findings.changed(code, key, message, "", origin)
        elif key == "serverurl":
            findings.left("supervisor-rpc", key, "There is no supervisord to talk to.", "", origin)
        else:
            message = "No such option of a program is known here."
            findings.left("directive-unknown", key, message, "Look it up in supervisor's manual.", origin)
    if "user" not in section.options:
        user = next((one.get("user") for one in configuration.sections if one.name == "supervisord"), None)
        account(findings, user, section.origin("user"), subject=f"user of {section.name}")
