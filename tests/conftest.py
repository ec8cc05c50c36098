"""The edges that tests share: AWS's APIs by moto, SES by the simulator, both over HTTP and real clients."""

import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings
from moto.server import ThreadedMotoServer
from tests.support.cloud import Cloud, variables
from tests.support.log_watch import LOG_WATCH, watch_all

from engine.handlers import email_sender, feedback_processor
from engine.local.ses.threaded import ThreadedSimulator

# A change is judged by the same examples wherever and however often its tests run. No deadline: timings
# belong in benchmarks.
settings.register_profile("same", deadline=None, derandomize=True)
# Other examples with every run: `HOSTILE_EXAMPLES=5000 pytest tests/hostile --hypothesis-profile=search`.
settings.register_profile("search", deadline=None)
settings.load_profile("same")
watch_all()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Every test, whatever it is about, fails where the engine logged personal data."""
    try:
        yield
    except BaseException:  # a failed assertion, or a skip: the next test logged none of it
        LOG_WATCH.take()
        raise
    LOG_WATCH.fail_where_found()


@pytest.fixture(scope="session", autouse=True)
def _no_real_account() -> None:
    """Nothing in a test may find credentials, a profile or a region of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def ses() -> Iterator[ThreadedSimulator]:
    with ThreadedSimulator() as simulator:
        yield simulator


@pytest.fixture
def cloud(aws_endpoint: str, ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A stack of this test's own, and the environment variables that lead the functions to it."""
    cloud = Cloud(aws_endpoint)
    for name, value in variables(cloud, ses.url).items():
        monkeypatch.setenv(name, value)
    yield cloud
    email_sender.environment.close()
    feedback_processor.environment.close()
