"""The wire shapes as JSON Schema (draft 2020-12): `python -m infra.export_schemas docs/schemas`."""

import sys
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.schemas.consent import SubscriptionChanged
from engine.schemas.operator_action import OperatorAction
from engine.schemas.request import EmailRequest
from engine.schemas.retry import RetryMessage
from engine.schemas.status import EmailStatusChanged

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

# File name, and what the schema is called, for each shape that somebody else writes or reads.
SHAPES: Final[dict[str, tuple[str, type[msgspec.Struct]]]] = {
    "email-request": ("Email Request", EmailRequest),
    "email-status-changed": ("Email Status Changed", EmailStatusChanged),
    "email-retry": ("Email Retry", RetryMessage),
    "operator-action": ("Operator Action", OperatorAction),
    "subscription-changed": ("Subscription Changed", SubscriptionChanged),
}


def schemas() -> dict[str, dict[str, Any]]:
    """A complete schema for each of `SHAPES`, by file name without its ending."""
    return {name: _schema(name, title, shape) for name, (title, shape) in SHAPES.items()}


def _schema(name: str, title: str, shape: type[msgspec.Struct]) -> dict[str, Any]:
    (generated,), components = msgspec.json.schema_components([shape], ref_template="#/$defs/{name}")
    for component in components.values():
        component["description"] = cleandoc(component["description"])
    return {
        "$schema": DIALECT,
        "$id": f"urn:sesmailengine:schema:{name}",
        "title": title,
        "description": components[shape.__name__]["description"],
        **generated,
        "$defs": dict(sorted(components.items())),
    }


def as_text(schema: dict[str, Any]) -> str:
    """The file for a schema: the same bytes for the same types."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def write(folder: Path) -> None:
    """Write every schema into the folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (folder / f"{name}.json").write_text(as_text(schema), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """The command; answers its exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m infra.export_schemas FOLDER\n")
        return 2
    write(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
