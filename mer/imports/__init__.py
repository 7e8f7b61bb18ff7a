"""Features that others extracted: read in whatever form they lie in, without ever running a pickle."""

from mer.imports.base import FeatureSource, ImportedError
from mer.imports.names import match
from mer.imports.open import open_source

__all__ = ["FeatureSource", "ImportedError", "match", "open_source"]
