"""What ``systolic boards --design tpu`` puts on the page: every board's TPU, and how a network ran at its pins."""

__all__ = ["blocks"]


def blocks(results):
    """What the page has between its markers.

    Parameters
    ----------
    results : list of (TpuDesign, dict)
        Each with its figures: those of :func:`.report.summary`, or ``error``; with ``played``, a Played.

    Returns
    -------
    dict of str to str
    """
    return {"tpus": "\n".join(_table(results))}


def _table(results):
    yield from (
        "| board | TPU | memory, KB | baud | LUT | FF | DSP | block RAM | clock MHz | Fmax MHz min / median / max "
        "| bitstream, bytes | digit: wrong outputs | microseconds |", "|" + "---|" * 13)
    yield from (_row(*result) for result in results)


def _row(target, figures):
    board, played = target.board, figures["played"]
    head = f"| {board.title}, `{board.name}` | {target.config.name} | {target.memory_size // 1024} | {board.baud:,} |"
    ran = f" {played.wrong} of {played.total} | {played.cycles / board.clock.mhz:.0f} |"
    if "error" in figures:
        return f"{head} {figures['error']} |" + " |" * 3 + f" {board.clock.mhz:g} |" + " |" * 2 + ran
    counts = " | ".join(f"{count['used']} of {count['available']}" for count in figures["resources"].values())
    fmax = figures["fmax_mhz"]
    return (f"{head} {counts} | {board.clock.mhz:g} | {fmax['min']} / {fmax['median']} / {fmax['max']} | "
            f"{figures['bitstream_bytes']:,} |{ran}")
