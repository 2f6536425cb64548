"""Programs: the weight tiles and activation rows that a matrix unit is fed."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolic.config import Arch
from systolic_sim.golden.formats import golden

__all__ = ["Program", "matmul_program", "random_program", "untile"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """Everything that the two input streams of a matrix unit carry.

    Parameters
    ----------
    tiles : int8 or uint16 array [T, R, C]
        Weight tiles in the order of their use, row 0 first.
    x : int8 or uint16 array [n, R]
        Activation rows.
    address : int array [n]
        Accumulator entry of each row.
    accumulate : bool array [n]
        Add to the entry; otherwise overwrite it.
    switch : bool array [n]
        The next tile becomes the active one, from this row on. The first row after reset always switches.
    last : bool array [n]
        The sum is finished and goes out as a result.
    depthwise : bool array [n]
        Each column multiplies its own channel of this depthwise row and of the ``taps`` - 1 before it. None by default.
    fills : bool array [n]
        The row has no sum of its own: its address does not matter. None by default.

    Raises
    ------
    ValueError
        If the arrays do not have these shapes.
    """

    tiles: NDArray[Any]
    x: NDArray[Any]
    address: NDArray[np.intp]
    accumulate: NDArray[np.bool_]
    switch: NDArray[np.bool_]
    last: NDArray[np.bool_]
    depthwise: NDArray[np.bool_] = None  # type: ignore[assignment]
    fills: NDArray[np.bool_] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name in ("depthwise", "fills"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.zeros(len(self.x), bool))
        if self.tiles.ndim != 3 or self.x.ndim != 2 or self.tiles.shape[1] != self.x.shape[1]:
            raise ValueError(f"tiles must be [T, R, C] and x [n, R], not {list(self.tiles.shape)} "
                             f"and {list(self.x.shape)}")
        for name in ("address", "accumulate", "switch", "last", "depthwise", "fills"):
            if np.shape(getattr(self, name)) != (len(self),):
                raise ValueError(f"{name} must be [{len(self)}], not {list(np.shape(getattr(self, name)))}")

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.x)

    @property
    def beats(self) -> NDArray[Any]:
        """The weight stream [T * R, C]: the rows of each tile, the last row first."""
        rows: NDArray[Any] = self.tiles[:, ::-1].reshape(-1, self.tiles.shape[2])
        return rows


def matmul_program(arch: Arch, x: NDArray[Any], w: NDArray[Any]) -> Program:
    """Program for ``x @ w``, zero-padded to whole tiles.

    For each tile along N, for each block of at most ``accumulator_depth`` rows of ``x``: the tiles along K
    one after the other, the first overwriting the accumulators, the last delivering results.

    Parameters
    ----------
    arch : Arch
        Whose shape to cut for.
    x : int8 or uint16 array [M, K]
        Activations.
    w : int8 or uint16 array [K, N]
        Weights. M, K and N at least 1.

    Returns
    -------
    Program
        Its results are for :func:`untile`.

    Raises
    ------
    ValueError
        If the shapes do not fit or are empty.
    """
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[0] or 0 in x.shape + w.shape:
        raise ValueError(f"x [M, K] and w [K, N] do not fit: {list(x.shape)} and {list(w.shape)}")
    m = len(x)
    k_tiles, n_tiles = -(-w.shape[0] // arch.rows), -(-w.shape[1] // arch.cols)
    x = _pad(x, m, k_tiles * arch.rows).reshape(m, k_tiles, arch.rows)
    w = _pad(w, k_tiles * arch.rows, n_tiles * arch.cols).reshape(k_tiles, arch.rows, n_tiles, arch.cols)
    blocks = [np.arange(low, min(low + arch.accumulator_depth, m))
              for low in range(0, m, arch.accumulator_depth)]
    # Rows of x and tiles along K in the order of issue, for one tile along N.
    row = np.concatenate([np.tile(block, k_tiles) for block in blocks])
    k = np.concatenate([np.repeat(np.arange(k_tiles), len(block)) for block in blocks])
    address = row % arch.accumulator_depth
    tiles = w.transpose(2, 0, 1, 3)[:, None].repeat(len(blocks), axis=1)
    return Program(
        tiles=tiles.reshape(-1, arch.rows, arch.cols), x=np.tile(x[row, k], (n_tiles, 1)),
        address=np.tile(address, n_tiles), accumulate=np.tile(k > 0, n_tiles),
        switch=np.tile(address == 0, n_tiles), last=np.tile(k == k_tiles - 1, n_tiles))


def untile(arch: Arch, results: NDArray[Any], m: int, n: int) -> NDArray[Any]:
    """Product [M, N] from the results of a :func:`matmul_program`.

    Parameters
    ----------
    arch : Arch
        The one the program was made for.
    results : array [n_last, C]
        As they came.
    m, n : int
        M and N of the product.

    Returns
    -------
    array [M, N]

    Raises
    ------
    ValueError
        If that is not the number of results of such a product.
    """
    n_tiles = -(-n // arch.cols)
    if results.shape != (n_tiles * m, arch.cols):
        raise ValueError(f"results must be {[n_tiles * m, arch.cols]}, not {list(results.shape)}")
    product: NDArray[Any] = results.reshape(n_tiles, m, arch.cols).transpose(1, 0, 2).reshape(m, -1)[:, :n]
    return product


def _pad(matrix: NDArray[Any], rows: int, cols: int) -> NDArray[Any]:
    return np.pad(matrix, [(0, rows - matrix.shape[0]), (0, cols - matrix.shape[1])])


def random_program(arch: Arch, rng: np.random.Generator, *, tiles: int | None = None,
                   max_rows: int | None = None) -> Program:
    """Random legal program, with more corner cases than chance would bring.

    Parameters
    ----------
    arch : Arch
        What it must be legal for.
    rng : numpy.random.Generator
        Source of every choice.
    tiles : int or None
        Weight tiles; ``None`` takes 1 to 6.
    max_rows : int or None
        Most rows of a tile, each having at least one; ``None`` takes 3 R.

    Returns
    -------
    Program
        One switch per tile, on its first row; at least one result.
    """
    tiles = tiles or int(rng.integers(1, 7))
    counts = rng.integers(1, (max_rows or 3 * arch.rows) + 1, tiles)
    address = _random_addresses(arch, rng, counts)
    operands = [_random_operands(arch, rng, count) for count in counts]
    depthwise, fills = _random_windows(arch, rng, counts)
    # Rows without a sum of their own leave their entries alone.
    sums = np.flatnonzero(~fills)
    overwrites = np.zeros(len(address), bool)
    overwrites[sums[np.unique(address[sums], return_index=True)[1]]] = True
    switch = np.zeros(len(address), bool)
    switch[np.cumsum(counts) - counts] = True
    last = rng.random(len(address)) < rng.choice([0.1, 0.5, 1])
    last[sums[rng.integers(len(sums))]] = True
    last &= ~fills
    return Program(
        tiles=np.stack([w for _, w in operands]), x=np.concatenate([x for x, _ in operands]),
        address=address, switch=switch, last=last, depthwise=depthwise, fills=fills,
        accumulate=(rng.random(len(address)) < rng.choice([0, 0.5, 1], tiles).repeat(counts)) & ~overwrites & ~fills)


def _random_windows(arch: Arch, rng: np.random.Generator, counts: NDArray[np.int64]) -> tuple[NDArray[np.bool_],
                                                                                             NDArray[np.bool_]]:
    """Which rows are depthwise, by tiles or by chance, and which only fill a window; one at least has a sum."""
    none = np.zeros(counts.sum(), bool)
    if not arch.taps:
        return none, none
    depthwise = rng.random(len(none)) < rng.choice([0, 0.5, 1], len(counts)).repeat(counts)
    fills = (rng.random(len(none)) < 0.2) | depthwise & (np.cumsum(depthwise) < arch.taps)
    if fills.all():
        depthwise[-1] = fills[-1] = False
    return depthwise, fills


def _random_addresses(arch: Arch, rng: np.random.Generator, counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Entries tile by tile: in sequence (often on those of the tile before), scattered, or a mere few."""
    depth, base = arch.accumulator_depth, 0
    parts: list[NDArray[np.intp]] = []
    for count in counts:
        if rng.random() < 0.3:
            base = int(rng.integers(depth))
        sequence = (base + np.arange(count)) % depth
        few = rng.integers(depth, size=3)
        parts.append([sequence, sequence, rng.integers(depth, size=count), rng.choice(few, count)]
                     [rng.integers(4)])
    return np.concatenate(parts)


def _random_operands(arch: Arch, rng: np.random.Generator, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """x [count, R] and w [R, C], both of one kind so that extremes meet."""
    format = golden(arch.format)
    x_kind, w_kind = format.kinds[rng.integers(len(format.kinds))]
    operands: list[NDArray[Any]] = []
    for kind, shape in ((x_kind, (count, arch.rows)), (w_kind, (arch.rows, arch.cols))):
        values = kind(rng, shape)
        if len(format.specials):
            density = rng.choice([0, 0.25 / arch.rows, 0.5], p=[0.6, 0.3, 0.1])
            values = np.where(rng.random(shape) < density, rng.choice(format.specials, shape), values)
        operands.append(values)
    x, w = operands
    return x, w
