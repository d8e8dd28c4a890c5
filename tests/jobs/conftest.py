"""The services that jobs call, as their own tests have them."""

from tests.services.conftest import house, local_embedder

__all__ = ["house", "local_embedder"]
