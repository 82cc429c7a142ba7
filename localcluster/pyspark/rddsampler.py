"""PySpark's module of this name."""

from localcluster.rdd.samplers import RDDRangeSampler, RDDSampler, RDDSamplerBase, RDDStratifiedSampler
