"""`ResourceInformation`: a kind of resource, such as GPUs, and which ones there are."""

from __future__ import annotations


class ResourceInformation:
    """Resources of one kind. What their addresses mean depends on the kind: of a GPU it is its number."""

    def __init__(self, name: str, addresses: list[str]) -> None:
        self._name = name
        self._addresses = addresses

    @property
    def name(self) -> str:
        return self._name

    @property
    def addresses(self) -> list[str]:
        return self._addresses
