"""Install SESMailEngine into your AWS account, upgrade or uninstall it; --help says how."""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 -- whoever runs it may well have an older one
    sys.exit("install.py needs Python 3.9 or newer, this is " + sys.version.split()[0])

try:
    import boto3  # type: ignore[import-untyped]  # noqa: F401  # only asked whether it is there
except ImportError:
    sys.exit("install.py needs boto3: python -m pip install -r requirements.txt")

from installer.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
