"""Where the prepared Tryton is kept between runs, so that only the first one pays for the set-up."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

FOLDER_VARIABLE = "TALLYSTICK_TRYTON_FOLDER"


def template_folder() -> Path:
    """The folder named in TALLYSTICK_TRYTON_FOLDER, else one of this user's own; made if need be.

    It is no home directory, since PostgreSQL started as root runs as another user, who must reach it. Raises PermissionError
    when somebody else owns it.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"tallystick-tryton-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else; set {FOLDER_VARIABLE} to a folder of your own")
    folder.chmod(0o755)
    return folder
