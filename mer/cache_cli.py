"""`mer cache`: look after the shard cache, which lives outside the repository and is shared by all its copies."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mer.store.location import cache_root

app = typer.Typer(help="Look after the cache of decoded clips and features.", no_args_is_help=True)

Root = Annotated[Path | None, typer.Option("--root", help="The cache's folder; by default $MER_CACHE or the user's.")]
MEBIBYTE = 2**20


@app.command("list")
def list_sets(root: Root = None) -> None:
    """What the cache holds: shards, rows, size and last use of each set."""
    from mer.store.upkeep import usage

    root = root or cache_root()
    print(root)
    for one in usage(root):
        used = datetime.fromtimestamp(one.last_used).strftime("%Y-%m-%d %H:%M") if one.shards else "-"
        aside = f"  {one.corrupt} set aside" if one.corrupt else ""
        print(f"{one.name:32} {one.shards:6} shards {one.rows:9} rows {one.bytes / MEBIBYTE:10.1f} MiB  {used}{aside}")


@app.command()
def verify(root: Root = None) -> None:
    """Check every checksum; a corrupt shard is set aside, and the next run redoes what it held."""
    from mer.store.upkeep import verify

    corrupt = unreadable = 0
    for path, fault in verify(root or cache_root()):
        if fault is not None:
            print(f"{path}: {fault.message}")
            corrupt, unreadable = corrupt + fault.corrupt, unreadable + (not fault.corrupt)
    print(f"{corrupt} corrupt shards" + (f", {unreadable} that cannot be read" if unreadable else ""))
    if corrupt or unreadable:
        raise typer.Exit(1)


@app.command()
def prune(
    days: Annotated[float, typer.Option(min=0, help="Remove shards not used for so many days.")] = 90,
    root: Root = None,
) -> None:
    """Remove what has not been used for a while; what is removed and needed again is computed again."""
    from mer.store.upkeep import prune

    sizes = [size for _, size in prune(root or cache_root(), days)]
    print(f"removed {len(sizes)} files, {sum(sizes) / MEBIBYTE:.1f} MiB")


@app.command()
def compact(root: Root = None) -> None:
    """Merge small shards into large ones."""
    from mer.store.upkeep import compact

    root = root or cache_root()
    for folder, before, after in compact(root):
        print(f"{folder.relative_to(root)}: {before} -> {after} shards")
