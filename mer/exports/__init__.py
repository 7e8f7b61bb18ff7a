"""Our features in the forms of others' code, so that its users can try our encoders there."""

from mer.exports.forms import FORMS, export

__all__ = ["FORMS", "export"]
