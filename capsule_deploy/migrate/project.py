"""What the directory says of the application itself: its name, its version, its requirements, its Python."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from capsule_builder.manifest.names import NAME, NAME_LENGTH, SERVICE_NAME, SERVICE_NAME_LENGTH
from capsule_builder.manifest.unit_text import PATH
from capsule_builder.manifest.versions import PYTHON_PATTERN, VERSION
from capsule_builder.python import venv_config
from capsule_deploy.migrate.model import Findings, Origin
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.reading import names_in

_REQUIREMENTS = (
    "requirements.txt", "requirements/production.txt", "requirements/prod.txt", "requirements/base.txt",
    "requirements-prod.txt", "requirements-production.txt", "requirements/requirements.txt", "requirements.lock",
)  # fmt: skip
_OTHER_TOOLS = ("Pipfile.lock", "poetry.lock", "uv.lock", "pdm.lock", "setup.py", "pyproject.toml", "environment.yml")
_VERSIONS = {
    "pyproject.toml": r"""(?m)^version\s*=\s*["']([^"']+)["']""",
    "setup.cfg": r"(?m)^version\s*=\s*([0-9][^\s]*)",
    "setup.py": r"""\bversion\s*=\s*["']([^"']+)["']""",
    "VERSION": r"\A\s*v?([0-9][^\s]*)\s*\Z",
    "version.txt": r"\A\s*v?([0-9][^\s]*)\s*\Z",
    "package.json": r'"version"\s*:\s*"([^"]+)"',
}
_DUNDER = re.compile(r"""(?m)^__version__\s*=\s*["']([^"']+)["']""")


def app_name(candidate: str, findings: Findings) -> str:
    """A name for the manifest, as near as can be to ``candidate``."""
    name = _slug(candidate, "[^a-z0-9_]+", NAME_LENGTH)
    while name and not name[0].isalpha():
        name = name[1:].lstrip("-_")
    if NAME.complaint(name):
        name = "app"
    if name == candidate:
        findings.carried("name", f"It is called {name}.")
    else:
        message = f"It is called {name}, for {candidate!r} is no name of a capsule."
        findings.changed("name", "name", message, "Choose another one if you like; the state directory is named by it.")
    return name


def service_names(candidates: Iterable[str], app: str) -> list[str]:
    """Names of services, each its own; what all have of the application's name in front is left away."""
    found: list[str] = []
    for candidate in candidates:
        slug = _slug(candidate, "[^a-z0-9]+", SERVICE_NAME_LENGTH)
        short = slug.removeprefix(_slug(app, "[^a-z0-9]+", SERVICE_NAME_LENGTH)).strip("-")
        name = short if short and not short.isdigit() else slug
        name = "main" if SERVICE_NAME.complaint(name) else name
        stem, number = name[: SERVICE_NAME_LENGTH - 3].rstrip("-"), 2
        while name in found:
            name, number = f"{stem}-{number}", number + 1
        found.append(name)
    return found


def _slug(text: str, others: str, length: int) -> str:
    slug = re.sub(others, "-", text.lower())
    slug = re.sub("[-_]{2,}", "-", slug).strip("-_")
    return slug[:length].strip("-_")


def version(places: Places, findings: Findings) -> str:
    """The application's version as the directory has it, or 0.1.0."""
    sources = [(name, re.compile(pattern)) for name, pattern in _VERSIONS.items()]
    for directory in ("", *(name for name in names_in(places.directory) if not name.startswith("."))):
        for name in ("__init__.py", "__version__.py", "_version.py", "version.py"):
            sources.append((os.path.join(directory, name), _DUNDER))
    for name, expression in sources[:500]:
        here = places.in_tree(name)
        if not os.path.isfile(here):
            continue
        text = places.head(here, 65536).decode("utf-8", "replace")
        found = expression.search(text)
        if not found:
            continue
        origin = Origin(name, text.count("\n", 0, found.start(1)) + 1, found[0].strip())
        complaint = VERSION.complaint(found[1])
        if complaint is None:
            findings.carried("version", f"It is of version {found[1]}.", origin)
            return found[1]
        likely = re.search(r'"([^"]+)"', complaint.remedy) if complaint.remedy.startswith('write "') else None
        if likely and VERSION.complaint(likely[1]) is None:
            message = f"{found[1]} is {likely[1]} as a semantic version."
            findings.changed("version", "version", message, "", origin)
            return likely[1]
    findings.suggested("version", "version", "No version was found; it is 0.1.0 now.", "Write the right one.")
    return "0.1.0"


def requirements(places: Places, ignored: Iterable[str], findings: Findings) -> str | None:
    """The file of requirements that the environment was most likely made of."""
    left_out = set(ignored)
    top = [name for name in names_in(places.directory) if re.fullmatch(r"requirements[\w.-]*\.txt", name)]
    names = [*_REQUIREMENTS, *(name for name in top if not re.search("dev|test|doc|lint", name))]
    found = [
        name for name in dict.fromkeys(names) if os.path.isfile(places.in_tree(name)) and f"/{name}" not in left_out
    ]
    found = [name for name in found if PATH.complaint(name) is None]
    if not found:
        other = next((name for name in _OTHER_TOOLS if os.path.isfile(places.in_tree(name))), None)
        message = f"No file of requirements; there is {other}." if other else "No file of requirements."
        remedy = "Write one (pip freeze, uv export, poetry export), and name it as dependencies.pip_requirements."
        findings.suggested("requirements", "dependencies.pip_requirements", message, remedy)
        return None
    message = f"{found[0]} names what the environment must have; capsbuild checks it."
    findings.carried("dependencies.pip_requirements", message, Origin(found[0], 0, ""))
    for name in found[1:]:
        message = f"{name} is another file of requirements."
        findings.suggested(
            "requirements", "dependencies.pip_requirements", message, "Name it instead, if it is the right one."
        )
    return found[0]


def python_of(venv: str, places: Places, findings: Findings) -> str | None:
    """The minor version of the Python that an environment (a path of the old host) was made with."""
    path = os.path.join(places.here(venv), venv_config.NAME)
    config = venv_config.parse(places.head(path, 65536))
    found = venv_config.minor_version(config)
    origin = Origin(places.shown(path), 0, f"version = {config['version'].text}" if "version" in config else "")
    if found is None or not re.fullmatch(PYTHON_PATTERN, found):
        message = "The environment does not say of which Python it is."
        findings.suggested("python", "dependencies.python", message, "Write its minor version.", origin)
        return None
    findings.carried("dependencies.python", f"The environment is of Python {found}.", origin)
    for problem in venv_config.problems(config, places.shown(places.here(venv))):
        findings.left(problem.code, venv, problem.message, problem.remedy, origin)
    return found
