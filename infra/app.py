"""Run by the CDK CLI: `python -m infra.app`."""

import os
import sys
from typing import Any

from aws_cdk import App, CliCredentialsStackSynthesizer

from infra.account import concurrency_limit
from infra.bundling import Bundles
from infra.settings import SettingsError, StackSettings
from infra.stack import EmailEngineStack

_LOCAL = "local"


def context_of(app: App) -> dict[str, Any]:
    return {key: app.node.try_get_context(key) for key in StackSettings.context_keys()}


def main() -> None:
    app = App()
    context = context_of(app)
    limit = None if context["target"] == _LOCAL else concurrency_limit(os.environ)
    try:
        settings = StackSettings.from_context(context, limit)
    except SettingsError as error:
        sys.exit(str(error))
    # The emulator needs no bootstrap: CDK acts there with the caller's own credentials.
    synthesizer = CliCredentialsStackSynthesizer() if settings.target == _LOCAL else None
    EmailEngineStack(
        app,
        "SESMailEngine",
        settings=settings,
        bundles=Bundles.build(settings.target),
        synthesizer=synthesizer,
    )
    app.synth()


if __name__ == "__main__":
    main()
