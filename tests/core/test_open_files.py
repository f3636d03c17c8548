"""Files without a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from capsule_builder import open_files


@pytest.mark.parametrize("flag", [open_files._TMPFILE, 0])
def test_a_temporary_file_has_no_name(flag: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "_TMPFILE", flag)  # 0 is where the file system has no such files
    with open_files.temporary(str(tmp_path)) as file:
        assert not list(tmp_path.iterdir())
        file.write(b"kept")
        file.seek(0)
        assert file.read() == b"kept"


def test_a_temporary_file_needs_a_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_files.temporary(str(tmp_path / "missing"))
