"""A handler that does nothing: what Python and Lambda's runtime client take."""


def handler(event: object, context: object) -> None:
    """Answer at once."""
