"""`StageDemands`: what an RDD asks of the stage that computes it: that its tasks run together, and resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from localcluster.base.arguments import check_type
from localcluster.rdd.core import RDDCore
from localcluster.rdd.lineage import narrow_lineage

if TYPE_CHECKING:
    from localcluster.rdd.barrier_rdd import RDDBarrier
    from localcluster.rdd.rdd import RDD
    from localcluster.resource.profile import ResourceProfile

T = TypeVar("T")


class StageDemands(RDDCore[T]):
    """``barrier``, ``withResources`` and their kin. A part of `RDD`."""

    _resource_profile: ResourceProfile | None = None

    def barrier(self) -> RDDBarrier[T]:
        """Compute the next step with tasks that are launched all at the same time, and that may wait for each other.

        When one task fails, all are run again. Needs as many free cores as there are partitions.
        """
        from localcluster.rdd.barrier_rdd import RDDBarrier  # its RDDs derive from this class

        return RDDBarrier(cast("RDD[T]", self))

    def _is_barrier(self) -> bool:
        """Whether the stage that computes this RDD is a barrier stage."""
        return any(member.starts_barrier for member in narrow_lineage(self))

    def withResources(self, profile: ResourceProfile) -> RDD[T]:
        """Note the resources that computing this RDD should have. Returns the RDD itself.

        On one machine nothing can be provided on demand: the profile has no effect on where or how tasks run.
        """
        from localcluster.resource.profile import ResourceProfile  # few programs need it

        check_type(profile, ResourceProfile, "profile", "a ResourceProfile")
        self._resource_profile = profile
        return cast("RDD[T]", self)

    def getResourceProfile(self) -> ResourceProfile | None:
        """The profile given with `withResources`, if any."""
        return self._resource_profile
