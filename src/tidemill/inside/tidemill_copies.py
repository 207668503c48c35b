"""A copy of a read-only input is the step's own: it may be written, as where a mount says what may not."""

import os
import stat


def wire(shutil):
    """Functions of `shutil` that copy a file's rights leave the owner's right to write."""
    inputs = os.path.join(os.path.abspath(os.environ["TIDEMILL_STEP_FOLDER"]), "inputs", "")
    for name in ("copymode", "copystat"):
        setattr(shutil, name, _leaving_writable(getattr(shutil, name), inputs))


def _leaving_writable(copy, inputs):
    def copied(src, dst, **options):
        copy(src, dst, **options)
        if not os.path.abspath(os.fsdecode(src)).startswith(inputs) or os.path.islink(dst):
            return
        mode = stat.S_IMODE(os.stat(dst).st_mode)
        if not mode & stat.S_IWUSR:
            os.chmod(dst, mode | stat.S_IWUSR)

    copied.__name__, copied.__doc__ = copy.__name__, copy.__doc__
    return copied
