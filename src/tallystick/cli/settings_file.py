"""`tallystick init`: a settings file to begin with, every setting explained in it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli.application import START, app
from tallystick.cli.failure import CommandFailed, WrongUse
from tallystick.cli.terminal import AsJson, print_json, tell
from tallystick.settings import SETTINGS_FILE


@app.command(rich_help_panel=START)
def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path(SETTINGS_FILE), as_json: AsJson = False
) -> None:
    """Write a commented settings file that connects an ERP; what is there already is never overwritten.

    To try Tallystick without systems of your own: `tallystick sandbox`
    """
    text = (files("tallystick.cli") / "example.toml").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(text)
    except FileExistsError:
        raise CommandFailed(f"{file} is there already; name another file, or move it away") from None
    except OSError as error:
        raise WrongUse(f"{file} cannot be written ({error.strerror})") from None
    if as_json:
        print_json({"written": str(file)})
    else:
        tell(f"{file} written; name your systems in it, export the secrets it names, then: tallystick run")
