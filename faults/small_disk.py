"""A disk of the database's own that can be filled: a file system in memory, seen by this process and its children only.

It needs a mount namespace, which root may make, and on many systems everybody else; where it can't be had, the campaign says
so and leaves out the fault.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

MEGABYTES = 512
_NEW_MOUNTS, _NEW_USER = 0x0002_0000, 0x1000_0000
_PRIVATE_EVERYWHERE = (1 << 18) | (1 << 14)
_PIECE = b"\0" * 1_048_576


def enter_own_mounts() -> str | None:
    """Give this process mounts of its own; None, or why not. To be called before it starts threads and children."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    wanted = _NEW_MOUNTS if user == 0 else _NEW_MOUNTS | _NEW_USER
    if not hasattr(libc, "unshare") or libc.unshare(wanted):
        return f"this system gives no mount namespace ({os.strerror(ctypes.get_errno())})"
    if user != 0:
        try:
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
        except OSError as error:
            return f"this system gives no user namespace ({error.strerror})"
    if libc.mount(b"none", b"/", None, _PRIVATE_EVERYWHERE, None):
        return f"mounts can't be made private ({os.strerror(ctypes.get_errno())})"
    return None


class SmallDisk:
    """A file system of MEGABYTES mounted on `folder`; it goes with the last process that sees it, or with `remove`."""

    def __init__(self, folder: Path) -> None:
        """Mount it. Raises OSError."""
        self._folder = folder
        self._filler = folder / "filler"
        folder.mkdir(parents=True, exist_ok=True)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={MEGABYTES}m,mode=0755".encode()):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))

    def fill(self) -> int:
        """Leave no byte free; returns how many bytes that took."""
        with self._filler.open("ab", buffering=0) as filler:
            for piece in (_PIECE, _PIECE[:4096]):
                try:
                    while filler.write(piece):
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
            return filler.tell()

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)

    def remove(self) -> None:
        """Unmount it, lazily."""
        ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(self._folder), 2)
