"""Which names do browsers see instead of this machine's paths?"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

PREFIX = "/-/"


class Forbidden(Exception):
    """A request names a file that its sender may not open."""


class Names:
    """The folders that can be asked for, and the names they have outside.

    Args:
        folders: Folders by name. A folder that contains another comes after it.
        hidden: More folders that are named but not opened.
    """

    def __init__(self, folders: dict[str, Path], hidden: dict[str, Path]) -> None:
        self._folders = {name: folder.resolve() for name, folder in folders.items()}
        self._spellings = [
            (spelling.encode(), f"{PREFIX}{name}".encode())
            for name, folder in (folders | hidden).items()
            for spelling in dict.fromkeys((str(folder), json.dumps(str(folder))[1:-1], quote(str(folder))))
        ]

    def hide(self, body: bytes) -> bytes:
        """Replace paths with names."""
        for path, name in self._spellings:
            body = body.replace(path, name)
        return body

    def real(self, name: object) -> Path:
        """Find the file that a name stands for.

        Raises:
            Forbidden: It is not one of ours.
        """
        if isinstance(name, str) and name.startswith(PREFIX) and "\0" not in name:
            first, *parts = PurePosixPath(name[len(PREFIX) :]).parts or ("",)
            folder = self._folders.get(first)
            if folder is not None and parts and ".." not in parts:
                path = folder.joinpath(*parts)
                if path.resolve().is_relative_to(folder):
                    return path
        raise Forbidden

    def real_files(self, value: Any) -> Any:
        """Replace the names of files in a question with paths, and drop every address beside them.

        Raises:
            Forbidden: The question names a file that is not one of ours.
        """
        if isinstance(value, list):
            return [self.real_files(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "path" in value or "meta" in value:
            plain = {key: item for key, item in value.items() if key not in ("path", "url")}
            return {key: self.real_files(item) for key, item in plain.items()} | {
                "path": str(self.real(value.get("path")))
            }
        return {key: self.real_files(item) for key, item in value.items()}
