"""In which order steps run: products first, and beside them what became of the sums before.

The machine issues in order, and a unit takes two instructions at most; so what waits holds up all that comes after. The
order therefore has, for a step k::

    loads for product k and for work beside it, weights of product k and of the next, product k, other loads,
    product k + 1 if it can, then the activations of step k

Work of the activation unit alone joins the step that makes its last input, right behind the activation that does.
"""

import bisect
import itertools
import operator
from collections import Counter
from collections.abc import Iterable, Iterator

from .places import Access, Storage
from .tasks import Step, Task

__all__ = ["merged", "ordered"]


def merged(steps: Iterable[Step]) -> list[Step]:
    """Steps with a product each, as far as there are products: work of the activation unit alone joins the step that
    it has to wait for."""
    out = _Places()
    for step in steps:
        place = out.last(step) if step.array is None else None
        if place is None or not _together(step, out[place]):
            out.append(step)
            continue
        here = out[place]
        if any(load.conflicts(store) for load in step.loads for store in here.stores):
            out.behind(place, step)
            continue
        here.vector += step.vector
        here.loads += step.loads
        here.stores += step.stores
        out.touch(place, step)
    return out.steps()


def _together(step: Step, earlier: Step) -> bool:
    """Whether the buffer has to have no other bands at the same time if a step joins an earlier one."""
    mine = step.bands
    theirs = earlier.bands if mine else mine
    return not mine or not theirs or bool(mine & theirs)


Place = tuple[int, ...]
_place = operator.itemgetter(0)


class _Places:
    """Steps in an order that grows at its end and in between, and which of them touch a storage.

    A place is a tuple of numbers: the n-th step that was put right behind place p is at (*p, -n).
    """

    def __init__(self) -> None:
        self._steps: dict[Place, Step] = {}
        self._touching: dict[Storage, list[tuple[Place, Access, bool]]] = {}
        self._behind: Counter[Place] = Counter()

    def __getitem__(self, place: Place) -> Step:
        return self._steps[place]

    def steps(self) -> list[Step]:
        return [self._steps[place] for place in sorted(self._steps)]

    def append(self, step: Step) -> None:
        self._behind[()] += 1
        self._put((self._behind[()],), step)

    def behind(self, place: Place, step: Step) -> None:
        """Right behind another."""
        self._behind[place] += 1
        self._put((*place, -self._behind[place]), step)

    def _put(self, place: Place, step: Step) -> None:
        self._steps[place] = step
        self.touch(place, step)

    def touch(self, place: Place, step: Step) -> None:
        """What a step touches is touched at a place."""
        for access, writes in _accesses(step):
            bisect.insort(self._touching.setdefault(access.storage, []), (place, access, writes), key=_place)

    def last(self, step: Step) -> Place | None:
        """The last place that a step has to come after: where a byte is touched that either of them writes."""
        found: Place | None = None
        for access, writes in _accesses(step):
            for place, other, written in reversed(self._touching.get(access.storage, [])):
                if found is not None and place <= found:
                    break
                if (writes or written) and access.overlaps(other):
                    found = place
                    break
        return found


def _accesses(step: Step) -> Iterator[tuple[Access, bool]]:
    """Each with whether it writes."""
    for task in step.tasks:
        yield from ((access, False) for access in task.reads)
        yield from ((access, True) for access in task.writes)


def ordered(steps: list[Step], *, tight: bool = False) -> list[Task]:
    """All tasks in the order of the program; ``tight`` if nothing is loaded ahead nor stored late, to save room."""
    return _Order(steps, tight=tight).run()


def soonest(tasks: Iterable[Task]) -> list[Task]:
    """Tasks of the activation unit, each right behind the last that it needs; those that take sums stay in order."""
    out: list[Task] = []
    for task in tasks:
        place = len(out)
        if not task.holds:
            place = next((number + 1 for number in reversed(range(len(out))) if task.conflicts(out[number])), place)
        while place < len(out) and not out[place].holds:
            place += 1
        out.insert(place, task)
    return out


class _Order:
    def __init__(self, steps: list[Step], *, tight: bool) -> None:
        self._steps, self._out, self._done = steps, list[Task](), set[int]()
        self._tight = tight
        self._next = [next((k for k in range(number + 1, len(steps)) if steps[k].array), None)
                      for number in range(len(steps))]

    def _emit(self, *tasks: Task | None) -> None:
        for task in tasks:
            if task is not None and id(task) not in self._done:
                self._done.add(id(task))
                self._out.append(task)

    def run(self) -> list[Task]:
        steps, late = self._steps, list[Task]()
        for number, step in enumerate(steps):
            # What is loaded from memory may have to be stored first.
            if any(load.conflicts(store) for load in step.loads for store in late):
                self._emit(*late)
            if step.array and id(step.array) not in self._done:
                beside = itertools.takewhile(lambda task: not task.holds, step.vector)
                first = [step.array, *beside]
                self._emit(*(load for load in step.loads if any(task.conflicts(load) for task in first)))
                self._emit(step.weights)
                after = self._next[number]
                if after is not None:
                    self._emit(steps[after].weights)
                self._emit(step.array)
            self._emit(*step.loads)
            waiting = [*late, *step.stores]
            if number + 1 < len(steps) and not self._tight:
                self._emit(*(load for load in steps[number + 1].loads
                             if not any(load.conflicts(store) for store in waiting)))
            self._hoist(number)
            self._emit(*soonest(step.vector))
            self._emit(*late)
            late = [*step.stores]
            if self._tight:
                self._emit(*late)
        self._emit(*late)
        return self._out

    def _hoist(self, number: int) -> None:
        """The next product before the activations of this step, if it does not read what they write."""
        following = self._steps[number + 1] if number + 1 < len(self._steps) else None
        if following is None or following.array is None or any(id(load) not in self._done for load in following.loads):
            return
        if not any(following.array.conflicts(task) for task in self._steps[number].vector):
            self._emit(following.weights, following.array)
