"""Drivers: the steps of :mod:`.steps` over a link, whose answers come at once or are awaited."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Generic, ParamSpec, TypeVar, overload

from . import steps
from .link import AsyncLink, Link, LinkError, Read, Read32, Request, Wait, Write, Write32

__all__ = ["AsyncDriver", "Driver"]

P = ParamSpec("P")
T = TypeVar("T")

#: How long a driver waits for an interrupt, if it is not told.
_LIMITS = {"cycles": 10_000_000.0, "seconds": 60.0}


class _Method(Generic[P, T]):
    """A driver's method that performs steps: at once, or to be awaited."""

    def __init__(self, procedure: Callable[P, steps.Steps[T]]) -> None:
        self._procedure = procedure
        self.__doc__ = procedure.__doc__

    @overload
    def __get__(self, driver: "Driver", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, driver: "AsyncDriver", owner: type) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, driver: None, owner: type) -> "_Method[P, T]": ...

    def __get__(self, driver: "Driver | AsyncDriver | None", owner: type) -> Any:
        if driver is None:
            return self

        @functools.wraps(self._procedure)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return driver.perform(self._procedure(*args, **kwargs))
        return method


class _Methods:
    """What both drivers can do: each as the function of that name in :mod:`.steps`, which documents it."""

    identify = _Method(steps.identify)
    read = _Method(steps.read)
    read_fields = _Method(steps.read_fields)
    write = _Method(steps.write)
    write_ones = _Method(steps.write_ones)
    counters = _Method(steps.counters)
    start = _Method(steps.start)
    ring = _Method(steps.ring)
    interrupted = _Method(steps.interrupted)
    finish = _Method(steps.finish)
    run = _Method(steps.run)
    restart = _Method(steps.restart)
    load = _Method(steps.load)
    feed = _Method(steps.feed)
    fetch = _Method(steps.fetch)
    execute = _Method(steps.execute)

    def __init__(self, link: Link | AsyncLink, limit: float | None) -> None:
        if link.unit not in _LIMITS:
            raise ValueError(f"unit of a link must be one of {', '.join(_LIMITS)}, not {link.unit!r}")
        self._unit, self._limit = link.unit, _LIMITS[link.unit] if limit is None else limit

    def _ask(self, link: Link | AsyncLink, request: Request) -> Any:
        """The link's answer, or what has to be awaited for it."""
        match request:
            case Read32(address):
                return link.read32(address)
            case Write32(address, value):
                return link.write32(address, value)
            case Read(address, size):
                return link.read(address, size)
            case Write(address, data):
                return link.write(address, data)
            case Wait(limit):
                return link.wait(self._limit if limit is None else limit)

    def _answer(self, request: Request, answer: Any) -> Any:
        """What the steps are sent for it."""
        if isinstance(request, Wait):
            limit = self._limit if request.limit is None else request.limit
            return None if answer else f"{limit:g} {self._unit}"
        return answer


class Driver(_Methods):
    """Drives a TPU over a link.

    ::

        driver = Driver(link)
        driver.load(image)                           # of compiler.Builder
        outputs, outcomes = driver.execute(image)

    Parameters
    ----------
    link : Link
    limit : float or None
        How long to wait for an interrupt, in the link's unit; ``None`` for 10,000,000 cycles or 60 seconds.

    Raises
    ------
    ValueError
        If the link's unit is neither cycles nor seconds.
    """

    def __init__(self, link: Link, *, limit: float | None = None) -> None:
        super().__init__(link, limit)
        self.link = link

    def perform(self, procedure: steps.Steps[T]) -> T:
        """Perform steps; returns their result."""
        try:
            request = next(procedure)
            while True:
                try:
                    answer = self._ask(self.link, request)
                except LinkError as error:
                    request = procedure.throw(error)
                else:
                    request = procedure.send(self._answer(request, answer))
        except StopIteration as end:
            result: T = end.value
            return result


class AsyncDriver(_Methods):
    """A :class:`Driver` over a link whose answers are awaited; so are its methods.

    Parameters
    ----------
    link : AsyncLink
    limit : float or None
        As for :class:`Driver`.
    """

    def __init__(self, link: AsyncLink, *, limit: float | None = None) -> None:
        super().__init__(link, limit)
        self.link = link

    async def perform(self, procedure: steps.Steps[T]) -> T:
        """Perform steps; returns their result."""
        try:
            request = next(procedure)
            while True:
                try:
                    answer = await self._ask(self.link, request)
                except LinkError as error:
                    request = procedure.throw(error)
                else:
                    request = procedure.send(self._answer(request, answer))
        except StopIteration as end:
            result: T = end.value
            return result
