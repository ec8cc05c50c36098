"""Lambda concurrency that the account allows, asked for before anything is synthesized."""

from collections.abc import Mapping
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

# The CDK CLI sets both where it has credentials for an account.
_KNOWN_BY = ("CDK_DEFAULT_ACCOUNT", "CDK_DEFAULT_REGION")


def concurrency_limit(environ: Mapping[str, str]) -> int | None:
    """Concurrent executions that the account may have; None where nobody knows.

    A synthesis without credentials, or with some that may not ask, goes on: the limit is checked for the sake
    of a clear message, and Lambda checks it again.
    """
    if not all(environ.get(name) for name in _KNOWN_BY):
        return None
    patience = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
    try:
        client: Any = get_session().create_client(
            "lambda", region_name=environ["CDK_DEFAULT_REGION"], config=patience
        )
        limit: int = client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    except (BotoCoreError, ClientError, KeyError):
        return None
    return limit
