"""Results of long jobs, kept by their content: what was interrupted resumes."""

import concurrent.futures
import json
import os
import pathlib
import tempfile

from systolic_sim.rtl import toolchain

__all__ = ["run_all"]


def run_all(function, jobs, *content):
    """Results of a function of each job, in their order, over all cores; those found before are not made again.

    Parameters
    ----------
    function : callable
        Of a module, since it runs in other processes. What it returns is plain: numbers, strings, lists, dicts.
    jobs : list
        Arguments, plain as well.
    content : str
        What else the results depend on, such as Verilog.

    Yields
    ------
    object
    """
    folder = toolchain.cache_folder() / "claims"
    folder.mkdir(exist_ok=True)
    name = f"{function.__module__}.{function.__qualname__}"
    paths = [folder / f"{toolchain.content_hash(name, json.dumps(job), *content)}.json" for job in jobs]
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        futures = [None if path.exists() else pool.submit(_keep, function, job, path)
                   for job, path in zip(jobs, paths, strict=True)]
        try:
            for future, path in zip(futures, paths, strict=True):
                if future:
                    future.result()
                yield json.loads(path.read_text())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _keep(function, job, path):
    result = json.dumps(function(job))
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(result)
    os.replace(file.name, pathlib.Path(path))
