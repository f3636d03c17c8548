"""Reads scripts that somebody calls by hand, and that start the old service."""

from __future__ import annotations

import os
from collections.abc import Sequence

from capsule_deploy.migrate.model import Deployment, Findings, Origin, Process
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.sources import read_sources


def read_scripts(paths: Sequence[str], places: Places, findings: Findings) -> Deployment:
    """What the scripts in the files ``paths`` start, which somebody calls by hand.

    Raises:
        CapsuleError: a file cannot be read.
    """
    deployment = Deployment("script", os.path.basename(places.directory))
    for path, text in read_sources(paths, places):
        name = places.shown(path)
        deployment.sources.append(name)
        there = places.there(os.path.abspath(path))
        origin = Origin(name, 1, text.partition("\n")[0])
        process_name = deployment.name if len(paths) == 1 else os.path.basename(path).partition(".")[0]
        argv = ("/bin/sh", there)
        deployment.processes.append(Process(process_name, argv, origin, os.path.dirname(there)))
    findings.changed("user", "account", "It ran as whoever called the script; now as an account of its own.")
    return deployment
