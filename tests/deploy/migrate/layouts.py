"""Legacy deployments as people have them, each on a host's tree of its own: real environments, units and scripts."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.capsbuild.command import write
from tests.environment.corpus import PLAIN, PYTHON, WHEELS

SECRET = "Tr0ub4dor-and-3-staples"
"""A secret that every layout has in several places, and no output may have."""


@dataclass(frozen=True)
class Layout:
    """A host's tree, the application's directory in it, and what starts it (paths of the host)."""

    root: Path
    directory: Path
    units: tuple[str, ...] = ()


class MakesVenv(Protocol):
    """Makes an environment with packages at a place."""

    def __call__(self, place: Path, *packages: str) -> None: ...


def venv(place: Path, *packages: str) -> None:
    """A real environment, made where it lies by ``venv`` and pip."""
    PLAIN.run(PYTHON, "-m", "venv", place)
    find = ("--no-index", "--find-links", WHEELS)
    PLAIN.run(place / "bin" / "python", "-m", "pip", "install", "-q", *find, *packages)


_SHOP = """
import os
import sqlite3

from flask import Flask

app = Flask(__name__)
DATABASE = os.environ.get("DATABASE", "/srv/shop/data/shop.db")


@app.get("/healthz")
def healthz():
    with sqlite3.connect(DATABASE) as database:
        database.execute("insert into hits values (1)")
        (count,) = database.execute("select count(*) from hits").fetchone()
    return f"{os.environ['GREETING']}, {count}, {os.environ.get('BUILD_SHA', 'by hand')[:3]}"
"""

_SHOP_UNIT = """\
[Unit]
Description=The shop
Documentation=https://example.org/shop
After=network-online.target postgresql.service
Wants=network-online.target
# Is it there? curl -f http://127.0.0.1:8085/healthz

[Service]
Type=notify
User=shop
Group=www-data
WorkingDirectory=/srv/shop
Environment=APP_MODE=production "GREETING=hello from the shop"
Environment=DATABASE=/srv/shop/data/shop.db
EnvironmentFile=/etc/default/shop
EnvironmentFile=-/etc/default/shop-local
ExecStartPre=/bin/mkdir -p /run/shop
ExecStartPre=/srv/shop/.venv/bin/python manage.py migrate
ExecStart=/srv/shop/.venv/bin/gunicorn --workers ${WORKERS} \\
    # two were too many
    --bind 127.0.0.1:${PORT} \\
    --access-logfile /var/log/shop/access.log --pid /run/shop/%N.pid \\
    --access-logformat '%%(h)s %%(r)s' shop.wsgi:app
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=5
KillSignal=SIGQUIT
CPUQuota=50%
MemoryMax=512M
TasksMax=64
LimitNOFILE=65536
ReadWritePaths=/srv/shop/data
AmbientCapabilities=CAP_NET_BIND_SERVICE
PrivateTmp=true

[Install]
WantedBy=multi-user.target
"""


def shop(root: Path, make_venv: MakesVenv = venv) -> Layout:
    """systemd: a unit with drop-ins and environment files, gunicorn in an environment called ``.venv``, SQLite."""
    directory = root / "srv/shop"
    write(
        root,
        {
            "etc/systemd/system/shop.service": _SHOP_UNIT,
            "etc/systemd/system/shop.service.d/10-limits.conf": "[Service]\nCPUQuota=\nCPUQuota=80%\n",
            "etc/systemd/system/shop.service.d/20-log.conf": "[Service]\nEnvironment=LOG_LEVEL=debug\n",
            "etc/systemd/system/service.d/20-log.conf": "[Service]\nEnvironment=LOG_LEVEL=never\n",
            "etc/systemd/system/shop.service.d/30-log.conf": "[Service]\nEnvironment=LOG_LEVEL=info\n",
            "etc/default/shop": (
                f'# settings\nPORT=8085\nWORKERS=1\nSECRET_KEY="{SECRET}"\nPATH=/srv/shop/.venv/bin:/usr/bin\n'
                f"DATABASE_URL=postgres://shop:{SECRET}@db.example.org/shop\n"
            ),
            "srv/shop/shop/__init__.py": '__version__ = "1.4"\n',
            "srv/shop/shop/wsgi.py": _SHOP,
            "srv/shop/shop/__pycache__/wsgi.cpython-311.pyc": b"stale",
            "srv/shop/manage.py": "print('migrated')\n",
            "srv/shop/requirements.txt": "flask\ngunicorn\n",
            "srv/shop/requirements-dev.txt": "pytest\n",
            "srv/shop/.env": f"SECRET_KEY={SECRET}\nDEBUG=1\n",
            "srv/shop/settings.ini": f"[mail]\npassword = {SECRET}\nhost = mail.example.org\n",
            "srv/shop/logs/access.log": "a line\n",
            "srv/shop/shop.pid": "4711\n",
            "srv/shop/.git/config": "[core]\n",
        },
    )
    (directory / "data").mkdir()
    with tempfile.NamedTemporaryFile() as file:  # SQLite would take the root of a host that runs for this one's
        with sqlite3.connect(file.name) as database:
            database.execute("create table hits (n)")
        shutil.copyfile(file.name, directory / "data/shop.db")
    (directory / "current.log").symlink_to("/var/log/shop/access.log")
    make_venv(directory / ".venv", "flask", "gunicorn")
    return Layout(root, directory)


_API = """
import os

from flask import Flask

app = Flask(__name__)


@app.get("/status")
def status():
    return f"{os.environ['TITLE']} at {os.environ['API_MODE']}"
"""

_WORKER = """
import argparse
import http.server
import os
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--spool", type=pathlib.Path)
parser.add_argument("--rules")
options = parser.parse_args()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        (options.spool / f"seen-{options.port}").touch()
        seen = sorted(path.name for path in options.spool.iterdir())
        rules = pathlib.Path(options.rules).read_text().strip()
        text = f"{os.environ['WORKER']} {rules} {seen} {__debug__}"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())


http.server.HTTPServer(("127.0.0.1", options.port), Handler).serve_forever()
"""

_SUPERVISOR = f"""\
; the whole of the fleet
[unix_http_server]
file=/run/supervisor.sock
username=fleet
password={SECRET}

[supervisord]
nodaemon=false
environment=API_MODE=live

[include]
files = conf.d/*.ini

[program:api]
command=%(here)s/../../srv/fleet/venv/bin/gunicorn -D -b 127.0.0.1:8091 -c gunicorn.conf.py api:app  ; in front of nginx
directory=/srv/fleet/src
environment=TITLE="The fleet, all of it",API_TOKEN="{SECRET}",
    SPOOL=/srv/fleet/spool
user=fleet
autorestart=true
stopsignal=INT
stdout_logfile=/var/log/fleet/%(program_name)s.log
redirect_stderr=true
"""

_SUPERVISOR_WORKER = """\
[program:worker]
command=/srv/fleet/venv/bin/python -uO src/worker.py --port 81%(process_num)02d --spool /srv/fleet/spool --rules
    etc/rules.txt
process_name=%(program_name)s_%(process_num)02d
numprocs=2
numprocs_start=1
directory=/srv/fleet
environment=WORKER="%(program_name)s-%(process_num)d"
stopwaitsecs=30
"""


def fleet(root: Path, make_venv: MakesVenv = venv) -> Layout:
    """supervisor: two programs, one of them twice, an included file, an environment at ``venv``."""
    directory = root / "srv/fleet"
    write(
        root,
        {
            "etc/supervisor/supervisord.conf": _SUPERVISOR,
            "etc/supervisor/conf.d/worker.ini": _SUPERVISOR_WORKER,
            "srv/fleet/src/api.py": _API,
            "srv/fleet/src/gunicorn.conf.py": 'workers = 1\naccesslog = "-"\n',
            "srv/fleet/src/worker.py": _WORKER,
            "srv/fleet/etc/rules.txt": "first rule\n",
            "srv/fleet/requirements/production.txt": "flask\ngunicorn\n",
            "srv/fleet/VERSION": "v2.0.1\n",
            "srv/fleet/spool/job-1": "waiting\n",
        },
    )
    make_venv(directory / "venv", "flask", "gunicorn")
    return Layout(root, directory, ("/etc/supervisor/supervisord.conf",))


_START = """\
#!/bin/bash
# Starts the notes; called by cron at boot.
set -e
cd "$(dirname "$0")"
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[ -f deploy/settings.sh ] && . deploy/settings.sh
if [ -z "$PORT" ]; then
    export PORT=8000
fi
mkdir -p "$HERE/var"
ulimit -n 4096
source venv/bin/activate
echo "starting on $PORT"
nohup python -m notes.clock --every "${INTERVAL:-5}" > logs/clock.log 2>&1 &
echo $! > clock.pid
exec python -m flask --app "notes.web:create('$TITLE')" run --port "$PORT" >> logs/web.log 2>&1
"""

_NOTES_WEB = """
import os
import pathlib

from flask import Flask


def create(title):
    app = Flask(__name__)

    @app.get("/ping")
    def ping():
        tick = pathlib.Path(os.environ["TICK"])
        return f"{title} {tick.read_text() if tick.exists() else 'no clock'}"

    return app
"""

_NOTES_CLOCK = """
import argparse
import os
import pathlib
import time

parser = argparse.ArgumentParser()
parser.add_argument("--every", type=int)
options = parser.parse_args()
pathlib.Path(os.environ["TICK"]).write_text(f"every {options.every}")
while True:
    time.sleep(options.every)
"""


def notes(root: Path) -> Layout:
    """cron: ``@reboot`` and a script with exports, ``activate``, ``nohup`` and ``exec``; a job by the clock."""
    directory = root / "srv/notes"
    write(
        root,
        {
            "var/spool/cron/crontabs/notes": (
                "MAILTO=ops@example.org\nTITLE = All notes\n"
                "@reboot sleep 10 && /srv/notes/start.sh\n"
                "0 3 * * * /srv/notes/venv/bin/python /srv/notes/purge.py # nightly\n"
            ),
            "srv/notes/start.sh": _START,
            "srv/notes/deploy/settings.sh": (
                f'export INTERVAL="2"\nexport SESSION_SECRET={SECRET}\nexport TICK=/srv/notes/var/tick\n'
                "export PORT=8096\n"
            ),
            "srv/notes/notes/__init__.py": "",
            "srv/notes/notes/web.py": _NOTES_WEB,
            "srv/notes/notes/clock.py": _NOTES_CLOCK,
            "srv/notes/purge.py": "print('purged')\n",
            "srv/notes/requirements.txt": "flask\n",
            "srv/notes/pyproject.toml": '[project]\nname = "notes"\nversion = "0.9.0"\n',
            "srv/notes/logs/web.log": "old\n",
            "srv/notes/nohup.out": "old\n",
        },
    )
    (directory / "start.sh").chmod(0o755)
    venv(directory / "venv", "flask")
    return Layout(root, directory)


def beacon(root: Path, port: int = 8098, more: str = "") -> Layout:
    """systemd without Python: a compiled program in a checkout, whose unit names where it is on the host."""
    directory = root / "checkout"
    write(
        root,
        {
            "checkout/deploy/beacon.service": (
                "[Unit]\nDescription=Beacon\n[Service]\nWorkingDirectory=/usr/local/lib/beacon\n"
                f"ExecStart=/usr/local/lib/beacon/bin/httpd -f -p 127.0.0.1:{port} -h /usr/local/lib/beacon/www\n"
                f"DynamicUser=yes\nMemoryMax=64M\n{more}[Install]\nWantedBy=multi-user.target\n"
            ),
            "checkout/www/index.html": "<p>beacon</p>\n",
        },
    )
    (directory / "bin").mkdir()
    shutil.copy("/usr/bin/busybox", directory / "bin/httpd")
    return Layout(root, directory)


def verified(layout: Layout, unit: str) -> str:
    """What ``systemd-analyze verify`` says of a unit, where the directory lies in its place on the host."""
    there = f"/{layout.directory.relative_to(layout.root)}"
    script = f'mount -t tmpfs none /srv && mkdir -p {there} && mount --bind "$1" {there} && systemd-analyze verify "$2"'
    command = ["unshare", "-m", "sh", "-euc", script, "sh", layout.directory, layout.root / unit.lstrip("/")]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return f"{done.returncode} {done.stderr}"
