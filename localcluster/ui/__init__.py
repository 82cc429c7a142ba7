"""The status page of a context, and Spark's REST API for what is known here: read-only, on this machine's loopback."""
