"""Finished steps of the flow, kept by content: one file each, named by the hash of all that it depends on."""

import hashlib
import os
import pathlib
import tempfile
import zipfile

from systolic_sim.rtl.toolchain import cache_folder

__all__ = ["Step"]

# Part of every name: to be changed with the meaning of what is kept.
_EDITION = "1"


class Step:
    """A step that may have been done before.

    Parameters
    ----------
    cache : path or None
        Folder to keep it in; ``None`` takes :func:`systolic_sim.rtl.toolchain.cache_folder`.
    kind : str
        Name of the step.
    inputs : str
        All that its result depends on.
    """

    def __init__(self, cache, kind, *inputs):
        digest = hashlib.sha256(_EDITION.encode())
        for text in inputs:
            digest.update(hashlib.sha256(text.encode()).digest())
        self.path = pathlib.Path(cache or cache_folder(), "fpga", f"{kind}-{digest.hexdigest()[:32]}.zip")

    def load(self):
        """Its files as bytes by name, or ``None`` if it has not been done."""
        try:
            with zipfile.ZipFile(self.path) as kept:
                return {name: kept.read(name) for name in kept.namelist()}
        except (FileNotFoundError, zipfile.BadZipFile):
            return None

    def save(self, files):
        """Keep files (str or bytes by name), in one move; returns them as :meth:`load` would."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self.path.parent, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as kept:
                for name, content in files.items():
                    kept.writestr(name, content)
            os.replace(draft, self.path)
        except BaseException:
            os.unlink(draft)
            raise
        return {name: content.encode() if isinstance(content, str) else content for name, content in files.items()}
