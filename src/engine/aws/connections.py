"""HTTP sessions of the AWS clients that share one TLS context.

aiobotocore makes a context for every client at its first call, and reads botocore's certificates for it: half
of a first invocation with four clients. One context trusts the same, and is made beforehand.
"""

import ssl
from functools import cache
from typing import Any, Final

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from botocore.httpsession import create_urllib3_context, get_cert_path

_Session: Final[Any] = AIOHTTPSession  # its stub knows nothing of what a subclass needs


@cache
def trust() -> ssl.SSLContext:
    """The context that aiobotocore would make for a client that sets nothing about TLS."""
    context: ssl.SSLContext = create_urllib3_context()
    context.load_verify_locations(get_cert_path(verify=True))
    return context


class SharedTrustSession(_Session):  # type: ignore[misc] # as above
    """A proxy, a bundle of certificates or a certificate of one's own get a context of their own, as ever."""

    def _create_connector(self, proxy_url: str | None) -> Any:
        if proxy_url or self._verify is not True or self._cert_file:
            return super()._create_connector(proxy_url)
        return aiohttp.TCPConnector(limit=self._max_pool_connections, ssl=trust(), **self._connector_args)
