"""The columns of a CSV file: fields of an Email Request by name, all others variables of the template."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct, inspect, structs

from engine.schemas.request import EmailRequest

# What spreadsheets and mail programs leave around a text: every kind of space, and zero-width characters.
_INVISIBLE: Final = r"[\s\u00ad\u180e\u200b-\u200f\u2060\ufeff]+"
_AROUND: Final = re.compile(f"^{_INVISIBLE}|{_INVISIBLE}$")


def trimmed(text: str) -> str:
    """The text without white space, no-break and zero-width characters around it."""
    return _AROUND.sub("", text)


def _value_type(type_: inspect.Type) -> inspect.Type:
    """A field's type without its description and without null."""
    while isinstance(type_, inspect.Metadata | inspect.UnionType):
        if isinstance(type_, inspect.Metadata):
            type_ = type_.type
        else:
            type_ = next(one for one in type_.types if not isinstance(one, inspect.NoneType))
    return type_


_FIELDS: Final = {
    field.encode_name: _value_type(inspect.type_info(field.type)) for field in structs.fields(EmailRequest)
}
_OBJECTS: Final = [
    name for name, type_ in _FIELDS.items() if isinstance(type_, inspect.DictType | inspect.StructType)
]


class Column(Struct, frozen=True):
    """Where a column's cells go: to a field of the request, or to the `part` of a field that is an object."""

    field: str
    part: str = ""

    @classmethod
    def of(cls, name: str) -> "Column":
        """The column of that name. Raises ValueError with the reason where it can't be one."""
        head, dot, part = name.partition(".")
        type_ = _FIELDS.get(head)
        if type_ is None:
            if dot:
                raise ValueError(f"expected one of {', '.join(sorted(_OBJECTS))} before the dot")
            _refuse_lookalike(name)
            return cls("templateData", name)
        if isinstance(type_, inspect.StructType):
            parts = [one.encode_name for one in type_.fields]
            if part not in parts:
                raise ValueError(f"expected one of {', '.join(f'{head}.{one}' for one in parts)}")
        elif isinstance(type_, inspect.DictType):
            if not part:
                raise ValueError(f"a cell can't hold it; expected {head}.NAME")
        elif dot:
            raise ValueError(f"{head} has no parts")
        elif isinstance(type_, inspect.ListType) and not isinstance(
            _value_type(type_.item_type), inspect.StrType
        ):
            raise ValueError("a cell can't hold it; a file of JSON lines can")
        return cls(head, part)

    def value(self, cell: str) -> Any:
        """What a cell says; None where it leaves the field out. Raises ValueError with the reason.

        An empty cell leaves a field out; an empty variable of the template is empty text.
        """
        if self.field == "templateData":
            return cell
        text = trimmed(cell)
        if not text:
            return text if self.field == "to" else None
        type_ = _FIELDS[self.field]
        if isinstance(type_, inspect.ListType):
            return [one for part in re.split(r"[;,\s]+", text) if (one := trimmed(part))]
        if isinstance(type_, inspect.BoolType):
            if text.lower() not in {"true", "false"}:
                raise ValueError(f"{self.field}: expected true or false, not {text!r}")
            return text.lower() == "true"
        return text


def _refuse_lookalike(name: str) -> None:
    """Raise ValueError for a variable's name that is a field's, or could have been meant as one."""
    alike = re.sub(r"[\s_-]", "", name).lower()
    meant = next((one for one in _FIELDS if one.lower() == alike), None)
    variable = f"a variable of the template is also called templateData.{name}"
    if meant:
        raise ValueError(f"is it the field {meant!r}? {variable}")


class Columns(Struct, frozen=True):
    """The columns that have a name. `empty`: how many nameless ones come after them."""

    columns: tuple[Column, ...]
    empty: int = 0

    @classmethod
    def of(cls, header: Sequence[str]) -> "Columns":
        """The columns of a header row. Raises ValueError naming the column that can't be one."""
        names = [trimmed(cell) for cell in header]
        while names and not names[-1]:
            names.pop()
        columns = []
        for place, name in enumerate(names, 1):
            if not name:
                raise ValueError(f"column {place} has no name")
            try:
                columns.append(Column.of(name))
            except ValueError as error:
                raise ValueError(f"column {name!r}: {error}") from None
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"column {twice[0]!r} is there twice")
        return cls(tuple(columns), len(header) - len(names))

    def read(self, cells: Sequence[str]) -> dict[str, Any]:
        """A row's fields of a request. Raises ValueError with what is wrong with the row."""
        row = list(cells)
        while len(row) > len(self.columns) and not trimmed(row[-1]):
            row.pop()
        if len(row) != len(self.columns):
            raise ValueError(f"has {len(row)} cells; the header has {len(self.columns)} columns")
        detail: dict[str, Any] = {}
        for column, cell in zip(self.columns, row, strict=True):
            value = column.value(cell)
            if value is None:
                continue
            if column.part:
                detail.setdefault(column.field, {})[column.part] = value
            else:
                detail[column.field] = value
        return detail
