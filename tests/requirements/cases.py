"""The tricky cases of verification: what is asked, what is there, and what must be said."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field

from capsule_builder.requirements import Distribution, Target
from tests.requirements.house import HERE, dist

PY312 = Target("3.12", "manylinux_2_28_x86_64")


@dataclass(frozen=True)
class Case:
    """``fails`` are "code path", ``notes`` codes. ``SHA(a)`` in a file is the hash of a's wheel.

    ``judges`` are the installers that must agree; ``differs`` says why uv does not, and it must not.
    """

    name: str
    files: str | Mapping[str, str | bytes]
    there: list[Distribution]
    fails: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    passengers: tuple[str, ...] = ()
    target: Target = HERE
    hashes: bool = False
    judges: tuple[str, ...] = ("uv",)
    differs: str = ""


UNPINNED = ["requirement-unpinned"]
WRONG_A = ["requirement-version a"]
OTHER = "0" * 64

VERSIONS = [
    Case("compatible release takes a longer number", "a~=2.2", [dist("a", "2.10")], notes=UNPINNED),
    Case("compatible release stops at the next major", "a~=2.2", [dist("a", "3.0")], WRONG_A, UNPINNED),
    Case("compatible release of a pre-release, later", "a~=1.4.5a4", [dist("a", "1.4.6")], notes=UNPINNED),
    Case("compatible release of a pre-release, itself", "a~=1.4.5a4", [dist("a", "1.4.5a4")], notes=UNPINNED),
    Case("compatible release of a pre-release, too far", "a~=1.4.5a4", [dist("a", "1.5")], WRONG_A, UNPINNED),
    Case("a public version takes a local one", "a==1.0", [dist("a", "1.0+cpu")]),
    Case("a local version does not take the public one", "a==1.0+cpu", [dist("a", "1.0")], WRONG_A),
    Case("greater is not a post release", "a>1.0", [dist("a", "1.0.post1")], WRONG_A, UNPINNED),
    Case("greater is not a local version", "a>1.0", [dist("a", "1.0+local")], WRONG_A, UNPINNED),
    Case("less is not its own pre-release", "a<2.0", [dist("a", "2.0rc1")], WRONG_A, UNPINNED),
    Case("a prefix takes a development release", "a==2.*", [dist("a", "2.0.dev1")], notes=UNPINNED),
    Case("arbitrary equality compares text", "a===1.0", [dist("a", "1.0.0")], WRONG_A,
         differs="uv compares === as versions, PEP 440 says text"),
    Case("arbitrary equality", "a===1.0", [dist("a", "1.0")]),
    Case("an epoch is greater than any version", "a>=2", [dist("a", "1!1.0")], notes=UNPINNED),
    Case("an epoch is part of the version", "a==1.0", [dist("a", "1!1.0")], WRONG_A),
    Case("an epoch is pinned", "a==1!1.0", [dist("a", "1!1.0")]),
    Case("trailing zeros are nothing", "a==2024.1", [dist("a", "2024.1.0")]),
    Case("a pre-release that is there is a fact", "a>=1", [dist("a", "2.0rc1")], notes=UNPINNED),
    Case("versions in parentheses", "a (>=1)", [dist("a", "1.5")], notes=UNPINNED),
    Case("versions in parentheses, too old", "a (>=1)", [dist("a", "0.5")], WRONG_A, UNPINNED),
    Case("nothing is asked of the version", "a", [dist("a", "0.0.1.dev0")], notes=UNPINNED),
    Case("an exclusion", "a!=1.5,>=1", [dist("a", "1.5")], WRONG_A, UNPINNED),
    Case("an exclusion by prefix", "a!=1.*", [dist("a", "1.5")], WRONG_A, UNPINNED),
]  # fmt: skip

MARKERS = [
    Case("another Python's line is not reported", 'a==1.0;python_version<"3"', []),
    Case("two lines, one for each Python", 'a==1.0; python_version<"3.11"\na==2.0; python_version>="3.11"',
         [dist("a", "2.0")]),
    Case("two lines, the other Python's version", 'a==1.0; python_version<"3.11"\na==2.0; python_version>="3.11"',
         [dist("a", "1.0")], WRONG_A),
    Case("two lines that both apply join their extras", "a[x]==1.0\na[y]==1.0",
         [dist("a", "1.0", "b; extra == 'x'", "c; extra == 'y'", extras=["x", "y"]), dist("b", "1")],
         ["requirement-missing a[y] -> c"]),
    Case("two lines that contradict", "a==1.0\na==2.0", [dist("a", "1.0")], WRONG_A),
    Case("another system's line", "a; sys_platform == 'win32'\nb==1; sys_platform == 'linux'", [dist("b", "1")]),
    Case("the target's machine, not the builder's", "a==1; platform_machine == 'aarch64'", []),
    Case("the target's machine", "a==1; platform_machine == 'aarch64'", [], ["requirement-missing a"],
         target=Target("3.11", "manylinux_2_28_aarch64"), judges=()),
    Case("an extra's marker in a file never holds", "a==1; extra == 'x'", []),
    Case("python_implementation, the old name", "a==1; python_implementation == 'CPython'", [],
         ["requirement-missing a"]),
    Case("and, or, parentheses", "a==1; (os_name == 'nt' or sys_platform == 'linux') and python_version in '3.10 3.11'",
         [], ["requirement-missing a"]),
    Case("setuptools where distutils is gone", "a==1", [dist("a", "1", 'setuptools; python_version >= "3.12"')]),
    Case("setuptools where distutils is gone, there", "a==1", [dist("a", "1", 'setuptools; python_version >= "3.12"')],
         ["requirement-missing a -> setuptools"], target=PY312),
    Case("a backport that the target does not need", "a==1",
         [dist("a", "1", 'importlib-metadata; python_version < "3.10"')]),
    Case("a backport that an older target needs", "a==1",
         [dist("a", "1", 'importlib-metadata; python_version < "3.10"')],
         ["requirement-missing a -> importlib-metadata"], target=Target("3.9", "manylinux_2_28_x86_64")),
    Case("the kernel is not known", "a==1", [dist("a", "1", "b; platform_release >= '20'")], notes=["marker-kernel"]),
    Case("a marker on a patch release, missing", "a==1", [dist("a", "1", "b; python_full_version < '3.11.4'")],
         ["requirement-missing a -> b"], ["python-patch"]),
    Case("a marker on a patch release, there", "a==1",
         [dist("a", "1", "b; python_full_version < '3.11.4'"), dist("b", "1")], notes=["python-patch"]),
    Case("a marker on one patch release alone", "a==1; python_full_version == '3.11.4'", [], ["requirement-missing a"],
         ["python-patch"], differs="uv takes 3.11 for 3.11.0; the host may have any"),
    Case("a marker on a patch release of another Python", "a==1; python_full_version < '3.9.1'", []),
    Case("a version of no release in a marker", "a==1; python_full_version >= '3.11.0+'", [], judges=()),
    Case("a comparison without meaning is taken to hold", "a==1; os_name ~= '3'", [], ["requirement-missing a"],
         ["marker-undefined"]),
]  # fmt: skip

EXTRAS = [
    Case("pip check's blind spot", "black[d]==1.0", [dist("black", "1.0", "aiohttp; extra == 'd'", extras=["d"])],
         ["requirement-missing black[d] -> aiohttp"]),
    Case("extras are normalised", "a[foo-bar]==1", [dist("a", "1", "b; extra == 'Foo_Bar'", extras=["Foo_Bar"])],
         ["requirement-missing a[foo-bar] -> b"]),
    Case("extras are normalised in the file, too", "a[FOO.bar]==1",
         [dist("a", "1", "b; extra == 'foo-bar'", extras=["foo-bar"]), dist("b", "1")]),
    Case("not an extra, none active", "a==1", [dist("a", "1", "b; extra != 'x'", extras=["x"])],
         ["requirement-missing a -> b"]),
    Case("not an extra, and it is active", "a[x]==1", [dist("a", "1", "b; extra != 'x'", extras=["x"])],
         ["requirement-missing a[x] -> b"]),
    Case("an extra that nobody asked for", "a==1", [dist("a", "1", "b; extra == 'x'", extras=["x"])]),
    Case("an extra of itself", "pkg[all]==1",
         [dist("pkg", "1", "pkg[a,b]; extra == 'all'", "c; extra == 'a'", "d; extra == 'b'", extras=["all", "a", "b"]),
          dist("c", "1")],
         ["requirement-missing pkg[all] -> pkg[a,b] -> d"]),
    Case("an extra that a dependency asks for", "a==1",
         [dist("a", "1", "b[x]>=1"), dist("b", "1", "c<2; extra == 'x'", extras=["x"]), dist("c", "2.0")],
         ["requirement-version a -> b[x] -> c"]),
    Case("an extra that is asked for later", "a==1\nb==1",
         [dist("a", "1", "b[x]"), dist("b", "1", "c; extra == 'x'", extras=["x"])],
         ["requirement-missing a -> b[x] -> c"]),
    Case("an extra with another marker", "a[x]==1",
         [dist("a", "1", "b; extra == 'x' and python_version < '3'", extras=["x"])]),
    Case("a misspelt extra", "a[nope]==1", [dist("a", "1", extras=["yes"])], ["requirement-extra a[nope]"],
         differs="uv warns of it; in a file it is a slip of the pen"),
    Case("an extra that a dependency has dropped", "a==1", [dist("a", "1", "b[old]"), dist("b", "2", extras=["new"])],
         notes=["extra-unknown"]),
    Case("an extra where the metadata names none", "a[x]==1", [dist("a", "1", "b; extra == 'x'")],
         ["requirement-missing a[x] -> b"]),
]  # fmt: skip

NAMES = [
    Case("names are normalised", "ruamel.yaml==1\nPySocks==1\nzope.interface==1\nFlask==1\nA__b==1",
         [dist("ruamel-yaml", "1"), dist("pysocks", "1"), dist("zope-interface", "1"), dist("flask", "1"),
          dist("a-b", "1")]),
    Case("names are normalised in the metadata", "a==1",
         [dist("a", "1", "Ruamel_YAML", "Zope..Interface"), dist("ruamel-yaml", "1"), dist("zope-interface", "1")]),
    Case("packages that share a namespace", "zope.interface==1\nzope.event==2",
         [dist("zope-interface", "1"), dist("zope-event", "1")], ["requirement-version zope-event"]),
    Case("what setuptools carries within is not there", "jaraco.text==4", [dist("setuptools", "75")],
         ["requirement-missing jaraco-text"], passengers=("setuptools",)),
]  # fmt: skip

AWS = dist("awscli", "1", "docutils (<=0.19,>=0.18.1)", "rsa (<4.8,>=3.1.2)", "urllib3 (!=2.2.0,<3)")
CLOSURE = [
    Case("old parentheses and tight bounds", "awscli==1",
         [AWS, dist("docutils", "0.19"), dist("rsa", "4.7"), dist("urllib3", "2.1")]),
    Case("old parentheses and tight bounds, all too new", "awscli==1",
         [AWS, dist("docutils", "0.20"), dist("rsa", "4.8"), dist("urllib3", "2.2.0")],
         ["requirement-version awscli -> docutils", "requirement-version awscli -> rsa",
          "requirement-version awscli -> urllib3"]),
    Case("a circle", "a==1", [dist("a", "1", "b"), dist("b", "1", "c"), dist("c", "1", "a>=2")],
         ["requirement-version a -> b -> c -> a"]),
    Case("a circle that holds", "pytest==8", [dist("pytest", "8", "plugin"), dist("plugin", "1", "pytest>=7")]),
    Case("it requires itself", "a==1", [dist("a", "1", "a>=1")]),
    Case("deep", "a==1", [dist("a", "1", "b"), dist("b", "1", "c"), dist("c", "1", "d")],
         ["requirement-missing a -> b -> c -> d"]),
    Case("all failures at once", "a==1\nb==1\nc==1", [dist("a", "2"), dist("c", "1", "d", "e>1"), dist("e", "1")],
         ["requirement-version a", "requirement-missing b", "requirement-missing c -> d",
          "requirement-version c -> e"]),
    Case("passengers", "a==1", [dist("a", "1"), dist("pip", "23"), dist("wheel", "0.4", "setuptools")],
         passengers=("pip", "wheel")),
    Case("a legacy specifier", "a==1", [dist("a", "1", "b (>=1.0.*)"), dist("b", "0.5")], notes=["dependency-legacy"],
         differs="uv repairs >=1.0.* and finds b too old"),
    Case("a legacy specifier, and it is missing", "a==1", [dist("a", "1", "b (>=1.0.*) ; python_version > '3'")],
         ["requirement-missing a -> b"], ["dependency-legacy"]),
    Case("a legacy specifier that is no version", "a==1", [dist("a", "1", "b>dev"), dist("b", "1")],
         notes=["dependency-legacy"]),
    Case("a dependency that nobody can read", "a==1", [dist("a", "1", "???")], notes=["dependency-legacy"],
         differs="uv refuses the whole wheel"),
    Case("one name twice", "a==1", [dist("a", "1"), dist("a", "2")], ["distribution-duplicate a"],
         differs="uv picks one; an environment has both"),
    Case("for a later Python", "a==1", [dist("a", "1", "b"), dist("b", "1", python=">=3.12")],
         ["distribution-python a -> b"]),
    Case("for an earlier Python", "a==1", [dist("a", "1", python="<3.11")], ["distribution-python a"],
         differs="uv ignores upper bounds of Requires-Python"),
    Case("not for some patch releases", "a==1", [dist("a", "1", python="!=3.11.3,>=3.9.2")], notes=["python-patch"]),
    Case("a Requires-Python that nobody can read", "a==1", [dist("a", "1", python=">=3.6.*,whatever")],
         notes=["dependency-legacy"], differs="uv refuses the whole wheel"),
    Case("a wheel of another Python", "a==1", [dist("a", "1", tag="cp310-cp310-manylinux_2_17_x86_64")],
         ["distribution-tags a"]),
    Case("a wheel of another system", "a==1", [dist("a", "1", tag="cp311-cp311-macosx_14_0_arm64")],
         ["distribution-tags a"]),
    Case("a wheel that needs a newer glibc", "a==1", [dist("a", "1", tag="cp311-cp311-manylinux_2_34_x86_64")],
         ["distribution-tags a"]),
    Case("a wheel for musl", "a==1", [dist("a", "1", tag="cp311-cp311-musllinux_1_1_x86_64")],
         ["distribution-tags a"]),
    Case("a wheel for the stable ABI", "a==1", [dist("a", "1", tag="cp37-abi3-manylinux2014_x86_64")]),
    Case("a wheel for a later stable ABI", "a==1", [dist("a", "1", tag="cp312-abi3-manylinux2014_x86_64")],
         ["distribution-tags a"]),
]  # fmt: skip

DEEP = {
    "requirements.txt": "-r more/base.txt\n",
    "more/base.txt": "--requirement=deep/last.txt\n",
    "more/deep/last.txt": "a==2\n-c ../limits.txt\n",
    "more/limits.txt": "b<2\nabsent==1\n",
}
FILES = [
    Case("files two levels deep", DEEP, [dist("a", "1", "b"), dist("b", "2")],
         ["requirement-version a", "constraint-version a -> b"]),
    Case("a file that is named twice", {"requirements.txt": "-r x.txt\n-r x.txt", "x.txt": "a==1"}, [dist("a", "1")]),
    Case("a constraint on what is not there", {"requirements.txt": "a==1\n-c c.txt", "c.txt": "b==1\nc<3"},
         [dist("a", "1")]),
    Case("a constraint is no requirement, and pins", {"requirements.txt": "a\n-c c.txt", "c.txt": "a==1"},
         [dist("a", "1")]),
    Case("a constraint is broken once, however many ask",
         {"requirements.txt": "a==1\nb==1\n-c c.txt", "c.txt": "c<2"},
         [dist("a", "1", "c"), dist("b", "1", "c"), dist("c", "2")], ["constraint-version a -> c"]),
    Case("a constraint with a marker of another Python",
         {"requirements.txt": "a==1\n-c c.txt", "c.txt": "a==2; python_version < '3'"}, [dist("a", "1")]),
    Case("carriage returns and a byte order mark",
         {"requirements.txt": codecs.BOM_UTF8 + b"a==1 \\\r\n  ; python_version >= '3' # why\r\n\r\nb==1\r\n"},
         [dist("a", "1")], ["requirement-missing b"], judges=("uv", "pip")),
    Case("an encoding that the file names", {"requirements.txt": b"# -*- coding: latin-1 -*- \xe9\na==1\n"},
         [dist("a", "2")], WRONG_A, judges=("pip",)),
    Case("UTF-16", {"requirements.txt": codecs.BOM_UTF16_LE + "a==1".encode("utf-16-le")}, [dist("a", "2")], WRONG_A,
         judges=("pip",)),
    Case("comments", "# a\n  # b==1 \\\na==1 # c", [dist("a", "1")], judges=("uv", "pip")),
    Case("a comment ends a continued line", "a==1\\\n# b\nc==1", [dist("a", "1")],
         ["requirement-missing c"], judges=("uv", "pip")),
    Case("options that change nothing here",
         "--index-url https://example.com/simple\n--extra-index-url=https://example.com/x\n-f wheels\n--pre\n"
         "--only-binary :all:\n--prefer-binary\n--trusted-host example.com\na==1", [dist("a", "1")], judges=()),
    Case("builds from source are not made here", "--no-binary a\na==1", [dist("a", "1")], notes=["option-no-binary"],
         judges=()),
    Case("settings for building from source", 'a==1 --global-option="--x y"', [dist("a", "1")], notes=["option-build"],
         judges=()),
]  # fmt: skip

CONTINUED = "a==1 \\\n    --hash=sha256:SHA(a) \\\n    --hash=sha256:" + OTHER + "\n    # via -r requirements.in\n"
HASHES = [
    Case("hashes on continued lines", CONTINUED + "b==1 --hash=sha256:SHA(b)\n",
         [dist("a", "1", "b"), dist("b", "1")], hashes=True, judges=("uv", "pip")),
    Case("another hash", f"a==1 --hash=sha256:{OTHER}", [dist("a", "1")], ["requirement-hash a"], hashes=True,
         judges=("pip",)),
    Case("a dependency without a hash", "a==1 --hash=sha256:SHA(a)", [dist("a", "1", "b==1"), dist("b", "1")],
         ["requirement-unhashed a -> b"], hashes=True, judges=("pip",)),
    Case("a line without a hash", "a==1 --hash=sha256:SHA(a)\nb==1", [dist("a", "1"), dist("b", "1")],
         ["requirement-unhashed b"], hashes=True, judges=("pip",)),
    Case("hashes are required", "--require-hashes\na==1", [dist("a", "1")], ["requirement-unhashed a"], hashes=True,
         judges=("uv", "pip")),
    Case("a passenger needs no hash", "a==1 --hash=sha256:SHA(a)", [dist("a", "1"), dist("p", "1")], hashes=True,
         passengers=("p",), judges=("uv", "pip")),
    Case("another algorithm alone", f"a==1 --hash=sha512:{OTHER * 2}", [dist("a", "1")], ["requirement-hash a"],
         hashes=True, judges=("pip",)),
    Case("no hash is asked for", "a==1", [dist("a", "1")], hashes=True),
    Case("what is installed does not tell its hash", f"a==1 --hash=sha256:{OTHER}",
         [dist("a", "1", "b"), dist("b", "1")], notes=["origin-unproven"], judges=()),
]  # fmt: skip

URL = "https://example.com/d/a-1-py3-none-any.whl"


def from_url(url: str, **more: object) -> Distribution:
    return dist("a", "1", direct_url={"url": url, **more})


def from_git(revision: str, commit: str) -> Distribution:
    info = {"vcs": "git", "requested_revision": revision, "commit_id": commit}
    return from_url("https://example.com/r.git", vcs_info=info)


ORIGINS = [
    Case("installed from the URL", f"a @ {URL}", [from_url(URL, archive_info={})], judges=()),
    Case("installed from the URL, which has a password", "a @ https://u:p@example.com/d/a-1-py3-none-any.whl",
         [from_url(URL, archive_info={})], judges=()),
    Case("installed from another URL", f"a @ {URL}", [from_url("https://example.com/e/a-1-py3-none-any.whl")],
         ["requirement-url a"], judges=()),
    Case("no space before the marker", f"a@{URL};python_version>='3'", [from_url("https://example.com/other")],
         ["requirement-url a"], judges=()),
    Case("no space before the marker of another Python", f"a@{URL};python_version<'3'", [], judges=()),
    Case("a URL with a semicolon", "a @ https://example.com/x;y", [from_url("https://example.com/x;y")], judges=()),
    Case("the URL's hash, recorded", f"a @ {URL}#sha256={OTHER}",
         [from_url("https://example.com/mirror", archive_info={"hashes": {"sha256": OTHER}})], judges=()),
    Case("the URL's hash, recorded in the old way, another", f"a @ {URL}#sha256={OTHER}",
         [from_url(URL, archive_info={"hash": "sha256=" + "1" * 64})], ["requirement-url a"], judges=()),
    Case("the wheel of the URL, by its name", f"a @ {URL}", [dist("a", "1")], judges=()),
    Case("the wheel of the URL, by its hash", f"a @ {URL}#sha256=SHA(a)", [dist("a", "1")], hashes=True, judges=()),
    Case("the wheel of the URL, another hash", f"a @ {URL}#sha256={OTHER}", [dist("a", "1")],
         ["requirement-url a"], hashes=True, judges=()),
    Case("a URL's hash does not make the others need one", f"a @ {URL}#sha256=SHA(a)\nb==1",
         [dist("a", "1"), dist("b", "1")], hashes=True, judges=()),
    Case("a URL's hash counts where all need one", f"a @ {URL}#sha256=SHA(a)\nb==1 --hash=sha256:SHA(b)",
         [dist("a", "1"), dist("b", "1")], hashes=True, judges=()),
    Case("a dependency by URL", "a==1",
         [dist("a", "1", "b @ https://example.com/b-2-py3-none-any.whl"), dist("b", "1")],
         ["requirement-url a -> b"], judges=()),
    Case("a URL that tells nothing", "a @ https://example.com/a.zip", [dist("a", "1")],
         notes=["requirement-unverifiable"], judges=()),
    Case("a wheel's path", "./wheels/a-1-py3-none-any.whl", [dist("a", "1")], judges=()),
    Case("a wheel's path, another version", "wheels/a-2-py3-none-any.whl", [dist("a", "1")], ["requirement-url a"],
         judges=()),
    Case("a wheel's path with extras and a marker", "./a-1-py3-none-any.whl[x] ; python_version > '3'",
         [dist("a", "1", "b; extra == 'x'", extras=["x"])], ["requirement-missing a[x] -> b"], judges=()),
    Case("a file URL", "file:///srv/a-1-py3-none-any.whl",
         [from_url("file:///home/me/a-1-py3-none-any.whl", archive_info={})], judges=()),
    Case("git, the revision that was asked for", "a @ git+https://example.com/r.git@v1", [from_git("v1", "abc123")],
         judges=()),
    Case("git, the commit", "git+https://example.com/r.git@abc1#egg=a", [from_git("main", "abc123")], judges=()),
    Case("git, another commit", "a @ git+ssh://git@example.com/r.git@fff", [from_git("v1", "abc123")],
         ["requirement-url a"], judges=()),
    Case("a constraint by URL", {"requirements.txt": "a==1\n-c c.txt", "c.txt": f"a @ {URL}"},
         [from_url("https://example.com/else")], ["constraint-url a"], judges=()),
    Case("a constraint by URL that tells nothing", {"requirements.txt": "a==1\n-c c.txt", "c.txt": "a @ git+file:///r"},
         [dist("a", "1")], notes=["constraint-unverifiable"], judges=()),
]  # fmt: skip

CASES = [*VERSIONS, *MARKERS, *EXTRAS, *NAMES, *CLOSURE, *FILES, *HASHES, *ORIGINS]
