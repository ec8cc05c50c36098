"""What is taken out of the installed dependencies: what no function reads, and what no two machines share."""

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Final

# What the functions call, by the folder of botocore's data; after the semicolon, what botocore calls by
# itself where endpoints are discovered, or a bucket lies in another region or in one zone.
CALLED: Final = {
    "dynamodb": "BatchExecuteStatement BatchGetItem BatchWriteItem DeleteItem GetItem PutItem Query"
    " TransactWriteItems UpdateItem; DescribeEndpoints",
    "events": "PutEvents",
    "s3": "GetObject HeadObject; CreateSession HeadBucket",
    "secretsmanager": "GetSecretValue",
    "sesv2": "GetAccount SendBulkEmail SendEmail",
    "sqs": "ChangeMessageVisibility SendMessage",
}
# As endpoints.json names them; the last four answer where credentials come from a role or a single sign-on.
_ENDPOINTS: Final = (
    *("dynamodb", "email", "events", "s3", "secretsmanager", "sqs"),
    *("sts", "oidc", "portal.sso", "sso"),
)


def prune(installed: Path) -> None:
    shutil.rmtree(installed / "bin", ignore_errors=True)  # scripts that carry this machine's paths
    for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"):
        for file in installed.glob(f"*.dist-info/{name}"):
            file.unlink()
    for file in installed.glob(".lock"):
        file.unlink()
    for package in ("botocore", "boto3"):
        _prune_services(installed / package / "data")
    _prune_endpoints(installed / "botocore" / "data" / "endpoints.json")
    for leftover in installed.rglob("*"):
        # Sources of compiled modules and type stubs, for readers and type checkers.
        if leftover.is_file() and leftover.suffix in {".c", ".h", ".pyi", ".pyx", ".pxd", ".hash"}:
            leftover.unlink()


def _prune_services(data: Path) -> None:
    """Leave the services that are called: their operations that are, and the shapes that those lead to.

    Reading the descriptions is most of what it takes to make the first clients.
    """
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in CALLED:
            shutil.rmtree(folder)
    for examples in data.glob("*/*/examples-1.json*"):
        examples.unlink()
    for file in data.glob("*/*/service-2.json.gz"):
        service = json.loads(gzip.decompress(file.read_bytes()))
        called = CALLED[file.parts[-3]].replace(";", "").split()
        service["operations"] = {name: it for name, it in service["operations"].items() if name in called}
        reached: set[str] = set()
        unread = [service["operations"]]
        while unread:
            names = set(re.findall(r'"shape": "(\w+)"', json.dumps(unread.pop()))) - reached
            reached |= names
            unread += [service["shapes"][name] for name in names]
        service["shapes"] = {name: shape for name, shape in service["shapes"].items() if name in reached}
        file.with_suffix("").write_text(json.dumps(service))
        file.unlink()


def _prune_endpoints(endpoints: Path) -> None:
    """Leave the services that are called, in all partitions: four hundred others take as long to read."""
    content = json.loads(endpoints.read_text())
    for partition in content["partitions"]:
        partition["services"] = {
            name: service for name, service in partition["services"].items() if name in _ENDPOINTS
        }
    endpoints.write_text(json.dumps(content))
