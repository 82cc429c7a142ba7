"""``import localcluster.joblib`` makes joblib's backend ``"localcluster"`` known. ``localcluster.joblib.stop()`` stops
the context that was made for it, if none was active.
"""

from __future__ import annotations

from joblib import register_parallel_backend

from localcluster.futures.joblib_backend import LocalClusterBackend, stop

__all__ = ["LocalClusterBackend", "stop"]

register_parallel_backend("localcluster", LocalClusterBackend)
