"""D25 to D28, the reading side: a disk that cannot be read is an error, never a bundle that is taken for verified."""

from __future__ import annotations

import pytest
from support.injection import SEEN, boot, calls, make, numbers_of, straced, temporaries

from bundler.runtime.frames import in_parallel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["pyz", "packed"])
def bundle(request, tmp_path_factory):
    return make(tmp_path_factory.mktemp("bundle"), request.param)


def test_an_artifact_that_cannot_be_read_is_an_error_wherever_it_happens(bundle, tmp_path, record_property):
    """EIO at every pread of the artifact."""
    log, cache = tmp_path / "log", tmp_path / "cache"
    assert boot(bundle, cache, wrap=straced(log, "--trace=pread64")).returncode == 0
    numbers = numbers_of(calls(log, bundle.path), "pread64")
    assert len(numbers) >= 5
    for number in numbers:
        cache = tmp_path / f"cache-{number}"
        inject = ["--trace=pread64", "-e", f"inject=pread64:error=EIO:when={number}"]
        answer = boot(bundle, cache, wrap=straced(log, *inject))
        assert "INJECTED" in log.read_text()
        assert (answer.returncode, answer.stdout) in ((1, ""), (3, "")), (number, answer)
        assert "Traceback" not in answer.stderr
        assert "nput/output error" in answer.stderr
        assert temporaries(cache) == []
        again = boot(bundle, cache)
        assert (again.returncode, again.stdout.strip()) == (0, SEEN)
    record_property("injections", len(numbers))


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_an_error_in_any_thread_is_the_callers_and_ends_the_others(jobs):
    todo = list(range(10_000))

    def work(errors):
        while not errors and todo:
            if todo.pop() == 9_990:
                raise OSError("it cannot be read")

    with pytest.raises(OSError, match="it cannot be read"):
        in_parallel(work, jobs)
    assert todo, "the others went on to the end"


def test_an_interrupt_is_raised_when_no_thread_works_any_more():
    import _thread
    import itertools
    import time

    working = []
    numbers = itertools.count()

    def work(errors):
        try:
            working.append(None)
            if next(numbers) == 2:  # all are there
                _thread.interrupt_main()
            while not errors:
                time.sleep(0.01)
            time.sleep(0.1)
        finally:
            working.pop()

    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, 3)
    assert working == []
