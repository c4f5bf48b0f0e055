"""Whether others can have changed a file: it, and each folder and link on the way to it.

On POSIX by owner and mode bits, as `ssh` and `sudo` judge their own files. On Windows nothing is
looked at: Python does not tell who has which rights there.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import LMStudioOSError

_MOST_LINKS = 40  # on the way to one file, as on Linux
_MAC_ADMINS = 80  # who may write to /Applications, and be root anyway


def check_trusted(path: Path) -> None:
    """Raise if somebody else than the user and root can have changed a file or folder.

    Args:
        path: An absolute path.

    Raises:
        LMStudioOSError: Somebody can; the message says where, and how to mend it. Or the way to it
            cannot be gone.
    """
    if sys.platform == "win32":
        return
    step = path
    try:
        steps = list(_way_to(path))
        for step in steps:
            if why := _distrust(step, is_last=step == steps[-1]):
                raise LMStudioOSError(
                    f"{str(path)!r} is not used, since other users could have changed it: "
                    f"{str(step)!r} {why}"
                )
    except LMStudioOSError:
        raise
    except (OSError, ValueError) as error:  # a name may be none to the system
        raise LMStudioOSError(f"{str(path)!r} cannot be used: {error}") from None


def _way_to(path: Path) -> Iterator[Path]:
    """Go the way to a file as the system does: each folder and link that is passed, and the file.

    Raises:
        OSError: It ends somewhere.
    """
    ahead = list(reversed(path.parts[1:]))
    here, links = Path(path.anchor), 0
    yield here
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = here.parent
            continue
        step = here / name
        yield step
        if not step.is_symlink():
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = Path(os.readlink(step))
        if target.is_absolute():
            here = Path(target.anchor)
        ahead += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def _distrust(step: Path, *, is_last: bool) -> str:
    """Return why a file, folder or link is not to be trusted, and what to do; nothing if it is."""
    if sys.platform == "win32":
        return ""
    info = os.lstat(step)
    if info.st_uid not in (0, os.geteuid()):
        return f"belongs to another user ({_name_of(info.st_uid)})."
    if stat.S_ISLNK(info.st_mode):  # the bits of a link say nothing
        return ""
    # In a folder like /tmp nobody can change what belongs to others; but for what is not there yet.
    if stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX and not is_last:
        return ""
    if info.st_mode & stat.S_IWOTH:
        return f"can be written by everybody. To mend it: chmod o-w {str(step)!r}"
    if info.st_mode & stat.S_IWGRP and not _is_own_group(info.st_gid):
        return f"can be written by its group ({info.st_gid}). To mend it: chmod g-w {str(step)!r}"
    return ""


def _is_own_group(gid: int) -> bool:
    """Whether nobody else is in a group: many systems give each user one, which may write."""
    if sys.platform == "win32":
        return True
    import grp
    import pwd

    if gid == 0 or (sys.platform == "darwin" and gid == _MAC_ADMINS):
        return True
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    is_named_so = group.gr_name == user.pw_name and gid == user.pw_gid
    return is_named_so and set(group.gr_mem) <= {user.pw_name}


def _name_of(uid: int) -> str:
    if sys.platform == "win32":
        return str(uid)
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
