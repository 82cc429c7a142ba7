"""The names of Py4J that PySpark programs import; there is no Java behind them."""

from localcluster.py4j import protocol
