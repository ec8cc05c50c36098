"""Run by the CDK CLI: `python -m infra.app`."""

import os
import sys
from typing import Any

from aws_cdk import App, CliCredentialsStackSynthesizer, DefaultStackSynthesizer, StackSynthesizer

from infra.account import concurrency_limit
from infra.bundling import Bundles
from infra.settings import StackSettings, StackSettingsError
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
    except StackSettingsError as error:
        sys.exit(str(error))
    synthesizer: StackSynthesizer
    if settings.target == _LOCAL:
        # The emulator needs no bootstrap: CDK acts there with the caller's own credentials.
        synthesizer = CliCredentialsStackSynthesizer()
    else:
        # The CLI checks the bootstrap by itself, before it deploys.
        synthesizer = DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
    bundles = Bundles.build(settings.target)
    for name, path in {"engine": bundles.engine, "seeder": bundles.seeder}.items():
        # Standard output is the template's.
        sys.stderr.write(f"Lambda code of the {name}: {path.stat().st_size / 2**20:.2f} MB\n")
    EmailEngineStack(app, "SESMailEngine", settings=settings, bundles=bundles, synthesizer=synthesizer)
    app.synth()


if __name__ == "__main__":
    main()
