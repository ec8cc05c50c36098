"""What a cold start can do without: searches for garbage among modules, and certificates that nobody reads.

Only in Lambda. A test, a command or an application that imports the engine has other modules beside it, whose
business this is not.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Lambda says here how it initialises: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_INITIALISATION: Final = "AWS_LAMBDA_INITIALIZATION_TYPE"
# Where OpenSSL looks for certificates: https://docs.openssl.org/master/man3/SSL_CTX_load_verify_locations/
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def is_lambda() -> bool:
    return _INITIALISATION in os.environ


@contextmanager
def quick_imports() -> Iterator[None]:
    """Imports in this block take a fifth less CPU, and leave nothing for later collections to go through.

    aiohttp makes two TLS contexts when it is imported and reads all of the machine's certificates for them.
    aiobotocore brings contexts of its own, and nothing else here speaks TLS by aiohttp; should anything do so
    all the same, it would trust nobody.
    """
    if not is_lambda():
        yield
        return
    kept = {name: os.environ.get(name) for name in _CERTIFICATES}
    gc.disable()
    try:
        os.environ.update(dict.fromkeys(_CERTIFICATES, os.devnull))
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        gc.freeze()
        gc.enable()
