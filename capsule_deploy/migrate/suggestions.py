"""What was found that nobody but a person can decide: ports and health checks."""

from __future__ import annotations

from collections.abc import Sequence

from capsule_builder.errors import CapsuleError
from capsule_deploy.migrate.launch.launch import Launch
from capsule_deploy.migrate.launch.needs import is_low
from capsule_deploy.migrate.model import Deployment, Findings, Origin
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.reading import logical_lines
from capsule_deploy.migrate.survey.health import health_urls
from capsule_deploy.migrate.survey.survey import Survey


def suggest(
    survey: Survey, deployment: Deployment, launches: Sequence[Launch], places: Places, findings: Findings
) -> None:
    """Tells of ports that configurations bind, and of what looks like a health check anywhere."""
    ports = list(dict.fromkeys(port for launch in launches for port in launch.ports))
    for port, origin in survey.ports:
        if port not in ports:
            message = f"A configuration binds port {port}."
            remedy = "It must be free on the host."
            if is_low(port):
                remedy += " Below 1024 the manifest needs sandbox: { allow: [low-ports] }."
            findings.suggested("port", str(port), message, remedy, origin)
            ports.append(port)
    found = survey.health[:]
    for source in deployment.sources:
        inner = places.in_tree(source) if not source.startswith("/") else places.here(source)
        try:
            text = places.text(inner)
        except CapsuleError:
            continue
        for at, line in logical_lines(text):
            found += health_urls(line[:2000], Origin(source, at, line.strip()))
    urls: dict[tuple[str, int | None], Origin] = {}
    for path, asked, origin in sorted(found, key=lambda url: url[1] is None):
        if asked is not None or not any(path == known for known, _ in urls):
            urls.setdefault((path, asked), origin)
    for (path, asked), origin in list(urls.items())[:10]:
        likely = asked or (ports[0] if len(ports) == 1 else None)
        where = f", port: {likely}" if likely else ", port: …"
        message = "It looks like a health check."
        remedy = f"If it is one, give its service: health: {{ http: {path}{where} }}."
        findings.suggested("health", path, message, remedy, origin)
    if not urls:
        message = "No health check was found; a release counts as healthy when its processes stay up."
        findings.suggested("health", "health", message, "Give the services one in the manifest.")
