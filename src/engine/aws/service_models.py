"""botocore's descriptions of the services, found and read faster: a client is made mostly of reading them."""

import gzip
from pathlib import Path
from typing import Any, Final

import msgspec
from botocore.loaders import JSONFileLoader, Loader, create_loader

# What the engine calls, as the folders of botocore's data name it.
SERVICES: Final = ("dynamodb", "events", "s3", "sesv2", "sqs")
_ENDINGS: Final = (".json", ".json.gz")


class QuickFileLoader(JSONFileLoader):
    """Gives plain dicts, which keep their order as well as botocore's OrderedDict and take half the time."""

    def load_file(self, file_path: str) -> Any:
        """The file with one of botocore's endings, or None where there is none."""
        for ending in _ENDINGS:
            file = Path(file_path + ending)
            if file.is_file():
                content = file.read_bytes()
                return msgspec.json.decode(gzip.decompress(content) if ending.endswith(".gz") else content)
        return None


class QuickLoader(Loader):
    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - all have what is loaded
        """Those of the engine: botocore would look into 400 folders for this, twice, before it loads one."""
        return list(SERVICES)


def quick_loader(search_path: str | None) -> Loader:
    """As botocore makes it, but for how it finds and reads a file. `search_path`: as in AWS_DATA_PATH."""
    return QuickLoader(
        create_loader(search_path).search_paths, QuickFileLoader(), include_default_search_paths=False
    )
