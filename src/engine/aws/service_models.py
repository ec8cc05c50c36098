"""botocore's descriptions of the services: found without a search, and read no further than the engine calls.

A client is made mostly of reading them: 800 operations of five services, of which the engine calls a few, and
the endpoints of four hundred services.
"""

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from botocore.loaders import JSONFileLoader, Loader, create_loader

# What is called of each service, by the folder of botocore's data: by the engine, and after the semicolon by
# botocore itself, when endpoints are discovered or a bucket lies in another region or in one zone.
OPERATIONS: Final[Mapping[str, frozenset[str]]] = {
    service: frozenset(names.replace(";", "").split())
    for service, names in {
        "dynamodb": "BatchExecuteStatement BatchGetItem BatchWriteItem GetItem PutItem Query UpdateItem"
        "; DescribeEndpoints",
        "events": "PutEvents",
        "s3": "GetObject HeadObject; CreateSession HeadBucket",
        "sesv2": "GetAccount SendBulkEmail SendEmail",
        "sqs": "ChangeMessageVisibility SendMessage",
    }.items()
}
# As endpoints.json names them; the last ones answer where credentials come from a role or a single sign-on.
_ENDPOINTS: Final = frozenset(
    {"dynamodb", "email", "events", "s3", "sqs", "sts", "oidc", "portal.sso", "sso"}
)
_ENDINGS: Final = (".json", ".json.gz")

_read: Final = msgspec.json.decode


class _Service(msgspec.Struct, rename="camel"):
    """What botocore reads of a service: all but its documentation."""

    version: Any = None
    metadata: Any = None
    operations: dict[str, msgspec.Raw] = {}
    shapes: dict[str, msgspec.Raw] = {}
    client_context_params: Any = None


class _Partition(msgspec.Struct, rename="camel"):
    """The endpoints of a part of AWS, such as that in China."""

    defaults: Any = None
    dns_suffix: Any = None
    partition: Any = None
    partition_name: Any = None
    region_regex: Any = None
    regions: Any = None
    services: dict[str, msgspec.Raw] = {}


class _Endpoints(msgspec.Struct):
    partitions: list[_Partition]
    version: Any = None


class QuickFileLoader(JSONFileLoader):
    """Gives plain dicts, which keep their order as well as botocore's OrderedDict and take half the time.

    Of a service that the engine calls it gives what is called, and of the endpoints those of such services.
    """

    def load_file(self, file_path: str) -> Any:
        """The file with one of botocore's endings, or None where there is none."""
        for ending in _ENDINGS:
            file = Path(file_path + ending)
            if file.is_file():
                content = file.read_bytes()
                return _needed(
                    Path(file_path), gzip.decompress(content) if ending.endswith(".gz") else content
                )
        return None


class QuickLoader(Loader):
    """Finds the services that the engine calls at once, and others, which credentials may ask, as ever."""

    def __init__(self, usual: Loader) -> None:
        super().__init__(usual.search_paths, QuickFileLoader(), include_default_search_paths=False)
        self._usual = usual

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - all have what is loaded
        """Those that the engine calls: botocore would look into 400 folders, twice, before it loads one."""
        return sorted(OPERATIONS)

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        if service_name in OPERATIONS:
            return super().load_service_model(service_name, type_name, api_version)
        return self._usual.load_service_model(service_name, type_name, api_version)


def quick_loader(search_path: str | None) -> Loader:
    """As botocore makes it, but for how it finds and reads a file. `search_path`: as in AWS_DATA_PATH."""
    return QuickLoader(create_loader(search_path))


def _needed(file: Path, content: bytes) -> Any:
    match file.name:
        case "service-2":
            return _called(content, OPERATIONS.get(file.parent.parent.name))
        case "endpoints":
            return _ours(content)
        case _:
            return _read(content)


def _called(content: bytes, operations: frozenset[str] | None) -> Any:
    """A service with the operations that are called and the shapes that they lead to, in the file's order."""
    if operations is None:
        return _read(content)
    service = _read(content, type=_Service)
    called = {name: _read(raw) for name, raw in service.operations.items() if name in operations}
    reached: dict[str, Any] = {}
    asked = list(_shapes(called))
    while asked:
        name = asked.pop()
        if name not in reached:
            reached[name] = _read(service.shapes[name])
            asked += _shapes(reached[name])
    shapes = {name: reached[name] for name in service.shapes if name in reached}
    return _plain(service) | {"operations": called, "shapes": shapes}


def _shapes(description: Any) -> Iterator[str]:
    """The names of the shapes that a description refers to."""
    if isinstance(description, dict):
        for key, value in description.items():
            if key == "shape" and isinstance(value, str):
                yield value
            else:
                yield from _shapes(value)
    elif isinstance(description, list):
        for item in description:
            yield from _shapes(item)


def _ours(content: bytes) -> Any:
    """The endpoints of the services that are called, in all partitions."""
    endpoints = _read(content, type=_Endpoints)
    return {"partitions": [_partition(each) for each in endpoints.partitions], "version": endpoints.version}


def _partition(partition: _Partition) -> dict[str, Any]:
    services = {name: _read(raw) for name, raw in partition.services.items() if name in _ENDPOINTS}
    return _plain(partition) | {"services": services}


def _plain(values: msgspec.Struct) -> dict[str, Any]:
    names = zip(values.__struct_fields__, values.__struct_encode_fields__, strict=True)
    found = ((name, getattr(values, field)) for field, name in names)
    return {name: value for name, value in found if value is not None}
